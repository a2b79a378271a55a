/** The real Docker Compose through the gate: a stack of ours does all that a stack does, and nothing else is reached. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { labels } from '../../src/contract/names.ts';
import { engineCall } from '../support/engine-call.ts';
import { bind, compose, type Loose, serviceOf, stackOf } from './compose-ground.ts';
import { call, type GateGround, newInstance, openGateGround, until } from './gate-ground.ts';

let ground: GateGround;
beforeAll(async () => {
  ground = await openGateGround();
});
afterAll(async () => await ground.close());

interface RawContainer {
  readonly Id: string;
  readonly Name: string;
  readonly State: { readonly Status: string; readonly StartedAt: string };
  readonly Config: Loose & { readonly Labels: Readonly<Record<string, string>> };
  readonly HostConfig: Loose;
  readonly Mounts: readonly { readonly Type: string; readonly Name?: string }[];
}

const go = (method: string, path: string, body?: unknown) => call(ground.gate, method, path, body);
const engine = async <T = unknown>(method: string, path: string, body?: unknown) =>
  (await engineCall<T>(ground.engineSocket, method, path, body)).body;
const rawInspect = (ref: string) => engine<RawContainer>('GET', `/containers/${ref}/json`);
const nameOf = (instance: string, service: string) => `gpuaas-${instance}.${service}`;
const makeNetwork = (instance: string) => go('POST', '/networks/create', ground.networkRequest(instance));
const logOf = async (name: string) => (await go('GET', `/containers/${name}/logs?stdout=1&stderr=1`)).text;

/** Runs Compose on the project of the instance, and fails where it does. */
async function run(instance: string, args: readonly string[], document?: object): Promise<string> {
  const { code, said } = await compose(ground, ['-p', `gpuaas-${instance}`, ...args], document);
  if (code !== 0) throw new Error(`compose ${args.join(' ')} ended with ${code}: ${said}`);
  return said;
}

const up = (instance: string, services: Loose) =>
  run(instance, ['up', '-d', '--no-build', '--pull', 'never', '--no-recreate'], stackOf(instance, services));

async function statesOf(instance: string, ...services: string[]): Promise<string[]> {
  const seen = await Promise.all(services.map((service) => rawInspect(nameOf(instance, service))));
  return seen.map(({ State }) => State.Status);
}

/** `api` serves a page, `web` reads it by the name of the service, again and again. */
function pageAndReader(instance: string, port: number): Loose {
  const check = { test: ['CMD', 'wget', '-qO', '/dev/null', 'http://127.0.0.1:8080'] };
  return {
    api: serviceOf(ground, instance, 'api', {
      command: ['echo hello > index.html; httpd -p 8080; trap "exit 0" TERM; while :; do sleep 1; done'],
      volumes: [bind(`${ground.policy.allocation.home}/gpuaas/workloads/${instance}/page`, '/workspace')],
      entrypoint: ['/bin/sh', '-c', 'cd /workspace && eval "$$0"'],
      ports: [{ target: 8080, published: String(port), host_ip: '127.0.0.1', protocol: 'tcp', mode: 'host' }],
      healthcheck: { ...check, interval: '1s', timeout: '5s', retries: 60, start_period: '1s' },
    }),
    web: serviceOf(ground, instance, 'web', {
      command: ['trap "exit 0" TERM; while :; do wget -qO - http://api:8080; sleep 1; done'],
      depends_on: { api: { condition: 'service_healthy' } },
    }),
  };
}

describe('a stack', () => {
  it('comes up in order, is reached and reaches itself, stops, starts and is taken down', async () => {
    const instance = newInstance();
    const port = await freePort();
    await makeNetwork(instance);

    const said = await up(instance, pageAndReader(instance, port));

    expect(await statesOf(instance, 'api', 'web')).toEqual(['running', 'running']);
    expect(said.indexOf(`${nameOf(instance, 'api')}  Healthy`)).toBeGreaterThan(0);
    expect(said.indexOf(`${nameOf(instance, 'web')}  Starting`)).toBeGreaterThan(said.indexOf('Healthy'));
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('hello\n');
    await until('web has read what api serves', async () => (await logOf(nameOf(instance, 'web'))).includes('hello'));

    await run(instance, ['stop', '-t', '5']);
    expect(await statesOf(instance, 'api', 'web')).toEqual(['exited', 'exited']);

    await run(instance, ['start']);
    expect(await statesOf(instance, 'api', 'web')).toEqual(['running', 'running']);

    await run(instance, ['down', '-t', '5']);
    const left = await engine<unknown[]>('GET', `/containers/json?all=1&filters=${filter(labels.instance, instance)}`);
    expect(left).toEqual([]);
    expect((await go('DELETE', `/networks/gpuaas-${instance}`)).status).toBe(204);
  });

  it('is sealed as the engine shows it, its service and its cards with it', async () => {
    const instance = newInstance();
    await makeNetwork(instance);
    await up(instance, { api: serviceOf(ground, instance, 'api') });
    const name = nameOf(instance, 'api');

    await ground.restartGate();
    const seen = (await go('GET', `/containers/${name}/json`)).json as RawContainer;
    const { Config, HostConfig } = await rawInspect(name);

    expect(seen.Config.Labels).toMatchObject({ [labels.service]: 'api', [labels.gpus]: '' });
    await engine('DELETE', `/containers/${name}?force=1`);
    for (const changed of [{ [labels.service]: 'web' }, { [labels.gpus]: 'GPU-1' }]) {
      const Labels = { ...Config.Labels, ...changed };
      const { Id } = await engine<{ Id: string }>('POST', `/containers/create?name=${name}`, {
        ...Config,
        HostConfig,
        Labels,
      });
      expect((await go('GET', `/containers/${name}/json`)).json.code).toBe('name.conflict');
      await engine('DELETE', `/containers/${Id}`);
    }
    await engine('POST', `/containers/create?name=${name}`, { ...Config, HostConfig });
    expect((await go('GET', `/containers/${name}/json`)).status).toBe(200);
  });

  it('takes away what its image brings along', async () => {
    const instance = newInstance();
    await makeNetwork(instance);
    const image = await engine<{ Config: { Env: string[] } }>('GET', `/images/${ground.images.hostile}/json`);
    const forbidden = image.Config.Env.map((entry) => entry.split('=')[0] ?? '').filter((each) =>
      /^(LD_|NVIDIA_)/.test(each),
    );
    const environment = {
      ...Object.fromEntries(forbidden.map((each) => [each, null])),
      NVIDIA_VISIBLE_DEVICES: 'void',
    };

    await up(instance, {
      api: serviceOf(ground, instance, 'api', {
        ...{ image: ground.images.hostile, environment, volumes: [] },
        command: ['env; trap "exit 0" TERM; while :; do sleep 1; done'],
      }),
    });

    const name = nameOf(instance, 'api');
    await until('it has told its environment', async () => (await logOf(name)).includes('NVIDIA_VISIBLE_DEVICES=void'));
    expect(await logOf(name)).not.toMatch(/LD_|NVIDIA_(?!VISIBLE_DEVICES=void)/);
    const { Mounts } = await rawInspect(name);
    const volumes = Mounts.flatMap(({ Name }) => Name ?? []);
    expect(volumes.length).toBeGreaterThan(0);
    await run(instance, ['down', '-t', '0']);
    for (const volume of volumes) {
      expect(await engine('GET', `/volumes/${volume}`)).toMatchObject({ message: expect.stringContaining('no such') });
    }
  });

  it('finds itself again in a network that was made anew', async () => {
    const instance = newInstance();
    await makeNetwork(instance);
    await up(instance, pageAndReader(instance, await freePort()));
    await run(instance, ['stop', '-t', '5']);
    await engine('DELETE', `/networks/gpuaas-${instance}`);
    await makeNetwork(instance);
    const read = async () => (await logOf(nameOf(instance, 'web'))).split('hello').length;
    const before = await read();

    await run(instance, ['start']);

    await until('web reads again what api serves', async () => (await read()) > before);
    expect(await statesOf(instance, 'api', 'web')).toEqual(['running', 'running']);
  });
});

describe('secret files of a stack', () => {
  const put = (member: string, text: string) =>
    go('PUT', `/gpuaas/v1/secrets/${member}`, { files: { key: Buffer.from(text).toString('base64') } });
  const folderOf = (member: string) => join(ground.policy.secrets_dir, member);
  const reader = (instance: string, service: string) =>
    serviceOf(ground, instance, service, {
      command: ['cat /run/secrets/key; echo; trap "exit 0" TERM; while :; do sleep 1; done'],
      volumes: [bind(folderOf(`${instance}.${service}`), '/run/secrets', true)],
    });

  it('are each for their service, and go with its container', async () => {
    const instance = newInstance();
    await makeNetwork(instance);
    expect((await put(`${instance}.api`, 'one')).status).toBe(204);
    expect((await put(`${instance}.web`, 'two')).status).toBe(204);

    await up(instance, { api: reader(instance, 'api'), web: reader(instance, 'web') });

    const logs = () => Promise.all([logOf(nameOf(instance, 'api')), logOf(nameOf(instance, 'web'))]);
    await until('both have read theirs', async () => {
      const [one = '', two = ''] = await logs();
      return one.includes('one') && two.includes('two');
    });
    await go('DELETE', `/containers/${nameOf(instance, 'api')}?force=1`);
    expect([existsSync(folderOf(`${instance}.api`)), existsSync(folderOf(`${instance}.web`))]).toEqual([false, true]);
    await run(instance, ['down', '-t', '0']);
    expect(existsSync(folderOf(`${instance}.web`))).toBe(false);
  });

  it('all go with the data of the instance, and those of others stay', async () => {
    const instance = newInstance();
    for (const member of [instance, `${instance}.api`, `${instance}.web`, `${instance}-2`, `${instance}-2.api`]) {
      await put(member, 'x');
    }

    const answer = await go('DELETE', `/gpuaas/v1/workloads/${instance}/data`);

    expect(answer.json).toEqual({ removed: [instance, `${instance}.api`, `${instance}.web`].map(folderOf), kept: [] });
    expect([`${instance}-2`, `${instance}-2.api`].map(folderOf).map(existsSync)).toEqual([true, true]);
  });

  it('and its folders stay while one of its services is there', async () => {
    const instance = newInstance();
    await makeNetwork(instance);
    await up(instance, { api: serviceOf(ground, instance, 'api') });

    const answer = await go('DELETE', `/gpuaas/v1/workloads/${instance}/data?data=1`);

    expect(answer.json).toMatchObject({ code: 'policy.refused', errors: [{ code: 'in_use' }] });
    expect(existsSync(join(ground.policy.allocation.home, 'gpuaas/workloads', instance, 'ws'))).toBe(true);
  });
});

describe('what others made with the labels of our project', () => {
  it('is neither seen nor touched', async () => {
    const instance = newInstance();
    const project = `gpuaas-${instance}`;
    await makeNetwork(instance);
    await up(instance, { api: serviceOf(ground, instance, 'api') });
    const ours = await rawInspect(nameOf(instance, 'api'));
    const Labels = { ...ours.Config.Labels, 'com.docker.compose.service': 'evil' };
    const { Id } = await engine<{ Id: string }>('POST', `/containers/create?name=foreign-${instance}`, {
      ...{ Image: ground.images.tiny, Cmd: ['sleep', '300'], Labels },
    });
    await engine('POST', `/containers/${Id}/start`);
    await engine('POST', '/volumes/create', { Name: `foreign-${instance}`, Labels });
    const network = await engine<{ Id: string }>('POST', '/networks/create', {
      ...{ Name: `foreign-${instance}`, Labels, Internal: true },
    });

    const listed = await run(instance, ['ps', '-a', '--format', '{{.Name}}']);
    await run(instance, ['stop', '-t', '0']);
    await run(instance, ['down', '-t', '0', '--volumes', '--remove-orphans']);

    try {
      expect(listed.trim().split('\n')).toEqual([nameOf(instance, 'api')]);
      expect((await rawInspect(Id)).State.Status).toBe('running');
      expect(await engine('GET', `/networks/${network.Id}`)).toMatchObject({ Id: network.Id });
      expect(await engine('GET', `/volumes/foreign-${instance}`)).toMatchObject({ Name: `foreign-${instance}` });
      const filters = filter('com.docker.compose.project', project);
      expect((await go('GET', `/networks?filters=${filters}`)).json).toEqual([]);
      expect((await go('GET', `/volumes?filters=${filters}`)).json).toEqual({ Volumes: [], Warnings: [] });
      expect((await go('GET', `/containers/json?all=1&filters=${filters}`)).json).toEqual([]);
    } finally {
      await engine('DELETE', `/containers/${Id}?force=1`);
      await engine('DELETE', `/networks/${network.Id}`);
      await engine('DELETE', `/volumes/foreign-${instance}`);
    }
  });
});

function filter(label: string, value: string): string {
  return encodeURIComponent(JSON.stringify({ label: { [`${label}=${value}`]: true } }));
}

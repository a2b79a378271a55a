/** What is not ours does not exist for a client of the gate, whatever labels or names it has. */
import { once } from 'node:events';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labels } from '../../src/contract/names.ts';
import { Seals } from '../../src/gate/seal.ts';
import { loadSealKey } from '../../src/gate/seal-key.ts';
import { type NetworkRequest, renderNetwork } from '../../src/policy/network-request.ts';
import { engineCall } from '../support/engine-call.ts';
import { call, exchange, type GateGround, newInstance, openGateGround, ownRange, statusesIn } from './gate-ground.ts';

let ground: GateGround;
beforeAll(async () => {
  ground = await openGateGround();
});
afterAll(async () => await ground.close());

const go = (method: string, path: string, body?: unknown) => call(ground.gate, method, path, body);
const engine = async <T = unknown>(method: string, path: string, body?: unknown) =>
  (await engineCall<T>(ground.engineSocket, method, path, body)).body;

/** The label by which the ground removes a foreign container of a test, and nothing else of ours. */
const marked = (): Record<string, string> => ({ [labels.allocation]: ground.policy.allocation.id });

interface RawContainer {
  readonly Id: string;
  readonly Name: string;
  readonly State: { readonly Running: boolean; readonly Pid: number };
  readonly Config: { readonly Labels: Record<string, string> };
  readonly HostConfig: Record<string, unknown>;
}

/** A running container that somebody made on the engine itself. */
async function foreign(name: string, body: Record<string, unknown> = {}): Promise<string> {
  const made = await engine<{ Id: string }>('POST', `/containers/create?name=${name}`, {
    Image: ground.images.tiny,
    Cmd: ['sleep', '300'],
    Labels: marked(),
    ...body,
  });
  await engine('POST', `/containers/${made.Id}/start`);
  return made.Id;
}

const rawInspect = (ref: string) => engine<RawContainer>('GET', `/containers/${ref}/json`);

/** Every call on a container through the gate, with what it answered. */
async function everyCall(ref: string): Promise<Record<string, string>> {
  const answers: Record<string, string> = {};
  for (const [method, action, body] of [
    ['GET', '/json'],
    ['GET', '/logs?stdout=1'],
    ['GET', '/stats?stream=0'],
    ['POST', '/start'],
    ['POST', '/stop?t=1'],
    ['POST', '/kill'],
    ['POST', '/wait'],
    ['POST', '/exec', { Cmd: ['/bin/true'] }],
    ['DELETE', '?force=1&v=1'],
  ] as const) {
    const { status, json } = await go(method, `/containers/${ref}${action}`, body);
    answers[`${method} ${action.split('?')[0]}`] = `${status} ${json?.code}`;
  }
  return answers;
}

const unknown = '404 container.not_found';

describe('a container that somebody else made', () => {
  it('does not exist by id, whatever is asked, and is left alone', async () => {
    const id = await foreign(`foreign-${newInstance()}`);
    const { State } = await rawInspect(id);

    expect(new Set(Object.values(await everyCall(id)))).toEqual(new Set([unknown]));
    expect((await rawInspect(id)).State).toMatchObject({ Running: true, Pid: State.Pid });
  });

  it('is a conflict where it has one of our names, and is left alone', async () => {
    const instance = newInstance();
    const id = await foreign(`gpuaas-${instance}`);
    await go('POST', '/networks/create', ground.networkRequest(instance));

    const answers = await everyCall(`gpuaas-${instance}`);
    const created = await go('POST', `/containers/create?name=gpuaas-${instance}`, ground.containerRequest(instance));

    expect(answers).toMatchObject({ 'GET /json': '409 name.conflict', 'POST /kill': unknown, 'DELETE ': unknown });
    expect([created.status, created.json.code]).toEqual([409, 'name.conflict']);
    expect((await rawInspect(id)).State.Running).toBe(true);
  });

  it('is told apart from an absent one by nothing', async () => {
    const id = await foreign(`foreign-${newInstance()}`);
    const absent = 'f'.repeat(64);

    const [one, other] = [await go('POST', `/containers/${id}/stop`), await go('POST', `/containers/${absent}/stop`)];

    expect(one.text.replace(id, '')).toBe(other.text.replace(absent, ''));
  });

  it('shows neither in lists nor in events, with or without our labels', async () => {
    const instance = await ground.makeInstance();
    const { Config } = await rawInspect(`gpuaas-${instance}`);
    const sent = request({ socketPath: ground.gate.socketPath, path: '/events', agent: false }).end();
    const [events] = await once(sent, 'response');

    const ids = [
      await foreign(`foreign-${newInstance()}`),
      await foreign(`foreign-${newInstance()}`, { Labels: Config.Labels }),
    ];
    await go('POST', `/containers/gpuaas-${instance}/start`);

    const listed = (await go('GET', '/containers/json?all=1')).json.map(({ Id }: { Id: string }) => Id);
    expect(listed).toContain((await rawInspect(`gpuaas-${instance}`)).Id);
    expect(listed.filter((id: string) => ids.includes(id))).toEqual([]);
    // It comes last: what is not there by then was never told.
    const seen = await textUntil(events, '"Action":"start"');
    sent.destroy();
    expect(seen).toContain(`gpuaas-${instance}`);
    for (const id of ids) expect(seen).not.toContain(id);
  });

  it('keeps its programs to itself', async () => {
    const id = await foreign(`foreign-${newInstance()}`);
    const { Id } = await engine<{ Id: string }>('POST', `/containers/${id}/exec`, {
      Cmd: ['touch', '/tmp/ran'],
      AttachStdout: true,
    });

    const inspected = await go('GET', `/exec/${Id}/json`);
    const started = await go('POST', `/exec/${Id}/start`, { Detach: true });
    const switched = await exchange(
      ground.gate,
      `POST /exec/${Id}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}`,
    );

    expect([inspected.json.code, started.json.code]).toEqual(['container.not_found', 'container.not_found']);
    expect(statusesIn(switched)).toEqual([404]);
    expect(await engine('GET', `/exec/${Id}/json`)).toMatchObject({ Running: false, Pid: 0 });
  });
});

describe('a copied seal', () => {
  it('does not hold on a container of another name', async () => {
    const instance = await ground.makeInstance();
    const { Config, HostConfig } = await rawInspect(`gpuaas-${instance}`);
    const id = await foreign(`gpuaas-${newInstance()}`, { ...Config, HostConfig });

    expect(new Set(Object.values(await everyCall(id)))).toEqual(new Set([unknown]));
  });

  it.each([
    ['privileges', { Privileged: true }],
    ['the root of the host', { Binds: ['/:/host'] }],
    ['the processes of the host', { PidMode: 'host' }],
    ['a capability', { CapAdd: ['SYS_ADMIN'], CapDrop: null }],
    ['more memory', { Memory: 2 ** 27, MemorySwap: 2 ** 27 }],
  ])('does not hold on one of the same name with %s', async (_what, over) => {
    const instance = await ground.makeInstance();
    const { Id, Config, HostConfig } = await rawInspect(`gpuaas-${instance}`);
    await engine('DELETE', `/containers/${Id}?force=1`);
    await foreign(`gpuaas-${instance}`, { ...Config, HostConfig: { ...HostConfig, ...over } });

    expect((await go('GET', `/containers/gpuaas-${instance}/json`)).json.code).toBe('name.conflict');
    expect((await go('DELETE', `/containers/gpuaas-${instance}?force=1`)).json.code).toBe('container.not_found');
  });

  it('does not hold after somebody changed the limits of our container', async () => {
    const instance = await ground.makeInstance();
    await engine('POST', `/containers/gpuaas-${instance}/update`, { Memory: 2 ** 27, MemorySwap: 2 ** 27 });

    expect((await go('GET', `/containers/gpuaas-${instance}/json`)).json.code).toBe('name.conflict');
  });

  it('is worth nothing to a gate with another key, and everything to the next one with the same', async () => {
    const instance = await ground.makeInstance();
    const other = await openGateGround();
    try {
      expect((await call(other.gate, 'GET', `/containers/gpuaas-${instance}/json`)).json.code).toBe('name.conflict');
      expect((await call(other.gate, 'GET', '/containers/json?all=1')).json).toEqual([]);
    } finally {
      await other.close();
    }

    await ground.restartGate();

    expect((await go('GET', `/containers/gpuaas-${instance}/json`)).status).toBe(200);
  });

  it('in the labels of an image makes nobody ours', async () => {
    const id = await foreign(`gpuaas-${newInstance()}`, {
      Image: ground.images.hostile,
      Entrypoint: ['/bin/sleep', '300'],
    });

    expect((await rawInspect(id)).Config.Labels[labels.seal]).toBe('forged');
    expect((await go('GET', `/containers/${id}/json`)).json.code).toBe('container.not_found');
  });

  it('in the labels of an image does not spoil that of the gate', async () => {
    const image = await engine<{ Config: { Env: string[] } }>('GET', `/images/${ground.images.hostile}/json`);
    const removed = image.Config.Env.map((entry) => entry.split('=')[0] ?? '').filter((name) =>
      /^(LD_|NVIDIA_)/.test(name),
    );
    const Env = ['NVIDIA_VISIBLE_DEVICES=void', ...removed.filter((name) => name !== 'NVIDIA_VISIBLE_DEVICES')];
    const instance = await ground.makeInstance({
      top: { Image: ground.images.hostile, Env, Healthcheck: { Test: ['NONE'] } },
      host: { Mounts: [] },
    });

    expect((await go('POST', `/containers/gpuaas-${instance}/start`)).status).toBe(204);
    expect((await go('GET', `/containers/gpuaas-${instance}/json`)).json.Config.Labels[labels.instance]).toBe(instance);
    expect((await go('DELETE', `/containers/gpuaas-${instance}?force=1&v=1`)).status).toBe(204);
  });
});

describe('a name that changed hands behind the gate', () => {
  it('never leads a call to the container that has it now', async () => {
    const instance = await ground.makeInstance();
    const name = `gpuaas-${instance}`;
    await go('POST', `/containers/${name}/start`);
    await engine('POST', `/containers/${name}/rename?name=${name}-old`);
    const id = await foreign(name);

    await go('POST', `/containers/${name}/kill`);
    await go('DELETE', `/containers/${name}?force=1`);
    await go('DELETE', `/containers/${name}?force=1`);

    expect((await rawInspect(id)).State.Running).toBe(true);
  });

  it('leads to the new one of ours after the old one was removed elsewhere', async () => {
    const instance = await ground.makeInstance();
    const name = `gpuaas-${instance}`;
    await go('GET', `/containers/${name}/json`);
    await engine('DELETE', `/containers/${name}?force=1`);
    expect((await go('POST', `/containers/${name}/stop?t=1`)).json.code).toBe('container.not_found');
    await go('POST', `/containers/create?name=${name}`, ground.containerRequest(instance));
    await go('POST', `/containers/${name}/start`);

    expect((await go('POST', `/containers/${name}/stop?t=3`)).status).toBe(204);
  });
});

describe('a network that somebody else made', () => {
  const foreignNetwork = async (instance: string) => {
    const IPAM = { Config: [{ Subnet: `${await ownRange()}.0/28` }] };
    const body = { Name: `gpuaas-${instance}`, Labels: marked(), IPAM };
    return (await engine<{ Id: string }>('POST', '/networks/create', body)).Id;
  };

  it('is a conflict where it has one of our names, cannot be used, and is nothing that could be removed', async () => {
    const instance = newInstance();
    const id = await foreignNetwork(instance);

    await go('POST', `/containers/create?name=gpuaas-${instance}`, ground.containerRequest(instance));

    const refused = [
      await go('POST', '/networks/create', ground.networkRequest(instance)),
      await go('POST', `/containers/gpuaas-${instance}/start`),
    ];

    expect(refused.map(({ json }) => json.code)).toEqual(['name.conflict', 'name.conflict']);
    expect((await rawInspect(`gpuaas-${instance}`)).State.Running).toBe(false);
    for (const ref of [`gpuaas-${instance}`, id]) {
      expect((await go('GET', `/networks/${ref}`)).json.code).toBe('container.not_found');
      expect((await go('DELETE', `/networks/${ref}`)).json.code).toBe('container.not_found');
    }
    expect(await engine('GET', `/networks/${id}`)).toMatchObject({ Id: id });
  });

  it('stays, and ours goes, where the engine has both under one name', async () => {
    const instance = newInstance();
    const name = `gpuaas-${instance}`;
    await go('POST', '/networks/create', ground.networkRequest(instance));
    const { Id: ours } = (await go('GET', `/networks/${name}`)).json;
    const id = await foreignNetwork(instance);

    expect((await go('GET', `/networks/${name}`)).json.Id).toBe(ours);
    expect((await go('POST', '/networks/create', ground.networkRequest(instance))).json.code).toBe('name.conflict');
    await go('POST', `/containers/create?name=${name}`, ground.containerRequest(instance));
    expect((await go('POST', `/containers/${name}/start`)).json.code).toBe('name.conflict');
    expect((await rawInspect(name)).State.Running).toBe(false);
    expect((await go('DELETE', `/networks/${name}`)).status).toBe(204);
    expect((await go('DELETE', `/networks/${name}`)).json.code).toBe('container.not_found');
    const left = await engine<{ Id: string; Name: string }[]>('GET', '/networks');
    expect(left.filter(({ Name }) => Name === name).map(({ Id }) => Id)).toEqual([id]);
  });

  it.each(['start', 'removal'])(
    'of ours that is there twice, as a killed gate may leave it, is one at the %s',
    async (what) => {
      const instance = newInstance();
      const name = `gpuaas-${instance}`;
      await go('POST', '/networks/create', ground.networkRequest(instance));
      const again = renderNetwork(ground.networkRequest(instance) as NetworkRequest, `${await ownRange()}.0/28`);
      const seals = new Seals(await loadSealKey(join(ground.folder, 'state')));
      const body = { ...again, CheckDuplicate: false, Labels: seals.sealNetwork(again) };
      await engine('POST', '/networks/create', body);
      await go('POST', `/containers/create?name=${name}`, ground.containerRequest(instance));
      const named = async () =>
        (await engine<{ Name: string }[]>('GET', '/networks')).filter(({ Name }) => Name === name).length;
      expect(await named()).toBe(2);

      const answer =
        what === 'start' ? await go('POST', `/containers/${name}/start`) : await go('DELETE', `/networks/${name}`);

      expect([answer.status, await named()]).toEqual([204, what === 'start' ? 1 : 0]);
    },
  );

  it('is not ours with copied labels', async () => {
    const instance = newInstance();
    await go('POST', '/networks/create', ground.networkRequest(instance));
    const { Labels } = (await go('GET', `/networks/gpuaas-${instance}`)).json;
    const { Id } = await engine<{ Id: string }>('POST', '/networks/create', {
      ...{ Name: `gpuaas-${instance}-x`, Labels },
      IPAM: { Config: [{ Subnet: `${await ownRange()}.0/28` }] },
    });

    expect((await go('GET', `/networks/${Id}`)).json.code).toBe('container.not_found');
    expect((await go('GET', '/networks')).json.map((network: { Id: string }) => network.Id)).not.toContain(Id);
  });
});

it('tells nobody of an image from elsewhere', async () => {
  const other = await openGateGround({ registries: [{ host: 'registry.example', prefixes: [''] }] });
  try {
    const { Id } = await engine<{ Id: string }>('GET', `/images/${ground.images.tiny}/json`);

    expect((await call(other.gate, 'GET', `/images/${Id}/json`)).json.code).toBe('image.not_found');
    expect((await call(other.gate, 'GET', `/images/${ground.images.tiny}/json`)).json.code).toBe(
      'image.registry_denied',
    );
  } finally {
    await other.close();
  }
});

it('follows an event stream for our containers that end when nobody can be asked about them any more', async () => {
  const instance = await ground.makeInstance();
  await ground.restartGate();
  const sent = request({ socketPath: ground.gate.socketPath, path: '/events', agent: false }).end();
  const [response] = await once(sent, 'response');

  await engine('DELETE', `/containers/gpuaas-${instance}?force=1`);

  expect(await textUntil(response, '"Action":"destroy"')).toContain(`gpuaas-${instance}`);
  sent.destroy();
});

/** What comes on a stream until it has said that. */
async function textUntil(stream: AsyncIterable<Buffer>, wanted: string): Promise<string> {
  let seen = '';
  for await (const chunk of stream) {
    seen += chunk.toString();
    if (seen.includes(wanted)) break;
  }
  return seen;
}

/** Every route that the gate lets through, on a real engine. */
import { once } from 'node:events';
import { existsSync, lstatSync, readFileSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labels } from '../../src/contract/names.ts';
import { engineCall } from '../support/engine-call.ts';
import {
  call,
  exchange,
  type GateGround,
  newInstance,
  openGateGround,
  ownRange,
  statusesIn,
  until,
} from './gate-ground.ts';

let ground: GateGround;
beforeAll(async () => {
  ground = await openGateGround();
});
afterAll(async () => await ground.close());

const go = (method: string, path: string, body?: unknown) => call(ground.gate, method, path, body);

/** A started container of a new instance, which listens to signals by now. */
async function running(): Promise<string> {
  const instance = await ground.makeInstance();
  expect((await go('POST', `/containers/gpuaas-${instance}/start`)).status).toBe(204);
  await untilListening(instance);
  return instance;
}

async function untilListening(instance: string): Promise<void> {
  const path = `/containers/gpuaas-${instance}/logs?stdout=1`;
  await until('it says that it is ready', async () => (await go('GET', path)).text.includes('ready'));
}

describe('what the gate tells about the engine', () => {
  it('answers ping as the engine does, with GET and HEAD', async () => {
    const got = await go('GET', '/_ping');
    const head = await go('HEAD', '/_ping');

    expect([got.status, got.text, head.status, head.text]).toEqual([200, 'OK', 200, '']);
    expect(got.headers['api-version']).toBe(
      (await engineCall<{ ApiVersion: string }>(ground.engineSocket, 'GET', '/version')).body.ApiVersion,
    );
  });

  it('gives version and chosen facts, with or without a version in the path', async () => {
    const version = await go('GET', '/v1.41/version');
    const info = await go('GET', '/info');

    expect(version.json.Version).toBe(info.json.ServerVersion);
    expect(info.json).toMatchObject({ DockerRootDir: expect.any(String), Runtimes: expect.any(Object) });
    expect(info.json).not.toHaveProperty('HttpProxy');
    expect(info.json).not.toHaveProperty('RegistryConfig');
  });
});

describe('images through the gate', () => {
  it('are pulled by digest, with progress as it comes', async () => {
    const [name = '', digest = ''] = ground.images.tiny.split('@');

    const pulled = await go('POST', `/images/create?fromImage=${encodeURIComponent(name)}&tag=${digest}`);

    expect(pulled.status).toBe(200);
    expect(pulled.text).toContain(digest);
  });

  it('are looked at by digest', async () => {
    expect((await go('GET', `/images/${ground.images.tiny}/json`)).json.RepoDigests).toContain(ground.images.tiny);
  });

  it('are looked at by id where they could run', async () => {
    const { Id } = (await go('GET', `/images/${ground.images.tiny}/json`)).json;

    expect((await go('GET', `/images/${Id}/json`)).json.Id).toBe(Id);
  });

  it('are not found where the engine has none', async () => {
    const missing = ground.images.tiny.replace(/[0-9a-f]{64}$/, '0'.repeat(64));

    expect((await go('GET', `/images/${missing}/json`)).json).toMatchObject({ code: 'image.not_found' });
  });
});

describe('the life of a container through the gate', () => {
  it('goes from create to remove, each step seen by the engine as usual', async () => {
    const instance = await ground.makeInstance();
    const name = `gpuaas-${instance}`;

    expect((await go('GET', `/containers/${name}/json`)).json.State.Status).toBe('created');
    expect((await go('POST', `/containers/${name}/start`)).status).toBe(204);
    expect((await go('POST', `/containers/${name}/start`)).status).toBe(304);
    expect((await go('GET', `/containers/${name}/json`)).json.State.Status).toBe('running');
    await untilListening(instance);
    const waiting = go('POST', `/containers/${name}/wait?condition=not-running`);
    expect((await go('POST', `/containers/${name}/stop?t=5`)).status).toBe(204);
    expect((await waiting).json.StatusCode).toBe(0);
    expect((await go('DELETE', `/containers/${name}?v=1`)).status).toBe(204);
    expect((await go('GET', `/containers/${name}/json`)).json.code).toBe('container.not_found');
    expect((await go('DELETE', `/networks/${name}`)).status).toBe(204);
    expect((await go('DELETE', `/networks/${name}`)).json.code).toBe('container.not_found');
    expect((await go('DELETE', `/gpuaas/v1/workloads/${instance}/data?data=1`)).json.removed).toEqual([
      join(ground.policy.allocation.home, 'gpuaas/workloads', instance),
    ]);
  });

  it('finds it by its id as well, and kills it with a signal of the list', async () => {
    const instance = await running();
    const { Id } = (await go('GET', `/containers/gpuaas-${instance}/json`)).json;

    expect((await go('POST', `/containers/${Id}/kill?signal=KILL`)).status).toBe(204);
    await until('it is killed', async () => (await go('GET', `/containers/${Id}/json`)).json.State.ExitCode === 137);
    expect((await go('DELETE', `/containers/${Id.slice(0, 12)}?force=1`)).status).toBe(204);
  });

  it('seals it with labels that the client did not choose', async () => {
    const instance = await ground.makeInstance();
    const { Labels } = (await go('GET', `/containers/gpuaas-${instance}/json`)).json.Config;

    expect(Labels[labels.seal]).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(Labels[labels.generation]).toMatch(/^[0-9a-f]{32}$/);
  });

  it('lists it among ours, and only with our filter', async () => {
    const instance = await ground.makeInstance();
    const filters = encodeURIComponent(JSON.stringify({ label: [`${labels.instance}=${instance}`] }));

    const all = await go('GET', '/containers/json?all=1');
    const one = await go('GET', `/containers/json?all=true&filters=${filters}`);

    expect(all.json.map(({ Names }: { Names: string[] }) => Names[0])).toContain(`/gpuaas-${instance}`);
    expect(one.json).toHaveLength(1);
    expect((await go('GET', '/containers/json')).json.some(({ State }: { State: string }) => State === 'created')).toBe(
      false,
    );
  });

  it('refuses a second one of the name with the words of the engine', async () => {
    const instance = await ground.makeInstance();

    const second = await go('POST', `/containers/create?name=gpuaas-${instance}`, ground.containerRequest(instance));

    expect(second.status).toBe(409);
    expect(second.json).not.toHaveProperty('code');
  });

  it('passes on why the engine could not start it: a port that is taken', async () => {
    const instance = await ground.makeInstance();
    const port = await takePort();
    const other = newInstance();
    await go('POST', '/networks/create', ground.networkRequest(other));
    const body = ground.containerRequest(other, {
      top: { ExposedPorts: { '80/tcp': {} } },
      host: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: String(port.number) }] } },
    });
    expect((await go('POST', `/containers/create?name=gpuaas-${other}`, body)).status).toBe(201);

    const started = await go('POST', `/containers/gpuaas-${other}/start`);

    expect(started.status).toBe(500);
    expect(started.json.message).toContain('address already in use');
    expect((await go('POST', `/containers/gpuaas-${instance}/start`)).status).toBe(204);
    port.close();
  });

  it('creates each of two at once that want the same name only once', async () => {
    const instance = newInstance();
    await go('POST', '/networks/create', ground.networkRequest(instance));
    const body = ground.containerRequest(instance);

    const answers = await Promise.all(
      [1, 2, 3].map(() => go('POST', `/containers/create?name=gpuaas-${instance}`, body)),
    );

    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
  });
});

describe('streams through the gate', () => {
  it('follow a log from its first line to its end', async () => {
    const instance = await running();
    const logs = go('GET', `/containers/gpuaas-${instance}/logs?stdout=1&stderr=1&follow=1&timestamps=1&tail=all`);

    await go('POST', `/containers/gpuaas-${instance}/stop?t=5`);

    expect((await logs).text).toMatch(/^.{8}\d{4}-\d\d-\d\dT[0-9:.]+Z ready\n/s);
  });

  it('pass on the headers of a stream before there is anything to say', async () => {
    const instance = await running();
    for (const [method, path] of [
      ['POST', `/containers/gpuaas-${instance}/wait`],
      ['GET', `/containers/gpuaas-${instance}/logs?stderr=1&follow=1`],
      ['GET', '/events'],
    ] as const) {
      const sent = request({ socketPath: ground.gate.socketPath, method, path, agent: false }).end();

      const [response] = await once(sent, 'response');

      expect(response.statusCode).toBe(200);
      sent.destroy();
    }
  });

  it('give stats once or as a stream', async () => {
    const instance = await running();

    const once = await go('GET', `/containers/gpuaas-${instance}/stats?stream=0&one-shot=1`);

    expect(once.json.memory_stats.limit).toBe(2 ** 26);
    const sent = request({
      socketPath: ground.gate.socketPath,
      path: `/containers/gpuaas-${instance}/stats`,
      agent: false,
    }).end();
    const [response] = await onceOf(sent, 'response');
    // A line may come in pieces.
    let text = '';
    for await (const piece of response) {
      text += String(piece);
      if (text.includes('\n')) break;
    }
    expect(JSON.parse(text.split('\n')[0] ?? '').id).toHaveLength(64);
    sent.destroy();
  });

  it('tell of events of our containers, with nanoseconds, from first to last', async () => {
    const instance = await ground.makeInstance();
    const events = openEvents();
    await events.opened;

    await go('POST', `/containers/gpuaas-${instance}/start`);
    await go('DELETE', `/containers/gpuaas-${instance}?force=1`);

    await until('destroyed', () => events.text().includes('"destroy"'));
    const mine = events.list().filter(({ Actor }) => Actor.Attributes[labels.instance] === instance);
    expect(mine.map(({ Action }) => Action)).toEqual(expect.arrayContaining(['start', 'die', 'destroy']));
    expect(events.text()).toMatch(/"timeNano":\d{19}/);
    events.stop();
  });

  it('tell of past events when asked from a time on', async () => {
    const since = Math.floor(Date.now() / 1000) - 1;
    const instance = await running();
    const events = openEvents(`?since=${since}`);

    await until('started', () =>
      events.list().some(({ Action, Actor }) => Action === 'start' && Actor.Attributes[labels.instance] === instance),
    );
    events.stop();
  });
});

describe('programs in a container through the gate', () => {
  const execs = async (instance: string, argv: string[]): Promise<string> => {
    const body = { Cmd: argv, AttachStdout: true, AttachStderr: true };
    const made = await go('POST', `/containers/gpuaas-${instance}/exec`, body);
    expect(made.status).toBe(201);
    return made.json.Id;
  };

  it('run detached and are looked at afterwards', async () => {
    const id = await execs(await running(), ['/bin/sh', '-c', 'exit 7']);

    expect((await go('POST', `/exec/${id}/start`, { Detach: true })).status).toBe(200);

    await until('ended', async () => (await go('GET', `/exec/${id}/json`)).json.Running === false);
    expect((await go('GET', `/exec/${id}/json`)).json.ExitCode).toBe(7);
  });

  it('give their output as the body of the answer', async () => {
    const id = await execs(await running(), ['/bin/sh', '-c', 'echo out; echo err >&2']);

    const { status, text } = await go('POST', `/exec/${id}/start`, { Detach: false });

    expect(status).toBe(200);
    expect(text).toContain('out\n');
    expect(text).toContain('err\n');
  });

  it('give their output after a protocol switch, whole, though the client has nothing more to say', async () => {
    const id = await execs(await running(), ['/bin/sh', '-c', 'sleep 0.3; head -c 300000 /dev/zero; echo end']);
    const stream = await hijack(`/exec/${id}/start`, '{"Detach":false}');
    stream.end();

    let length = 0;
    let last = '';
    for await (const chunk of stream) {
      length += chunk.length;
      last = String(chunk).slice(-4);
    }

    expect(length).toBeGreaterThan(300_000);
    expect(last).toBe('end\n');
  });

  it('never hand what the client sends after the switch to the engine', async () => {
    const instance = await running();
    const id = await execs(instance, ['/bin/sh', '-c', 'sleep 0.5; echo done']);
    ground.recorder.forget();
    const stream = await hijack(`/exec/${id}/start`, '{"Detach":false}');

    stream.write('GET /containers/json?all=1 HTTP/1.1\r\nHost: x\r\n\r\n');
    let text = '';
    for await (const chunk of stream) text += chunk;

    expect(text).toContain('done');
    expect(ground.recorder.requests()).toEqual([expect.stringMatching(/^POST \/v1\.\d+\/exec\/[0-9a-f]{64}\/start$/)]);
    expect(ground.recorder.text()).not.toContain('containers/json');
  });

  it('are started without a switch when the client asks for both', async () => {
    const id = await execs(await running(), ['/bin/true']);

    const received = await exchange(
      ground.gate,
      `POST /exec/${id}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 15\r\n\r\n{"Detach":true}`,
    );

    expect(statusesIn(received)).toEqual([200]);
  });

  it('answer an exec of a stopped container with the words of the engine, on a switch as well', async () => {
    const instance = await running();
    const id = await execs(instance, ['/bin/true']);
    await go('POST', `/containers/gpuaas-${instance}/stop?t=1`);

    const plain = await go('POST', `/exec/${id}/start`, { Detach: false });
    const switched = await exchange(
      ground.gate,
      `POST /exec/${id}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}`,
    );

    expect([404, 409]).toContain(plain.status);
    expect(statusesIn(switched)).toEqual([plain.status]);
    expect(switched).toContain(plain.json.message);
  });
});

describe('networks through the gate', () => {
  it('each get another subnet of the pool, also when made at once', async () => {
    const instances = [newInstance(), newInstance(), newInstance()];

    const made = await Promise.all(
      instances.map((instance) => go('POST', '/networks/create', ground.networkRequest(instance))),
    );

    expect(made.map(({ status }) => status)).toEqual([201, 201, 201]);
    const found = await Promise.all(instances.map((instance) => go('GET', `/networks/gpuaas-${instance}`)));
    const subnets = found.map(({ json }) => json.IPAM.Config[0].Subnet);
    expect(new Set(subnets).size).toBe(3);
    expect(subnets.every((subnet: string) => /^10\.229\.\d+\.\d+\/28$/.test(subnet))).toBe(true);
    const listed = (await go('GET', '/networks')).json.map(({ Name }: { Name: string }) => Name);
    expect(listed).toEqual(expect.arrayContaining(instances.map((instance) => `gpuaas-${instance}`)));
    expect(listed).not.toContain('bridge');
    for (const instance of instances) await go('DELETE', `/networks/gpuaas-${instance}`);
  });

  it('are made once: a second of the name is a conflict in the words of the engine', async () => {
    const body = ground.networkRequest(newInstance());
    await go('POST', '/networks/create', body);

    const second = await go('POST', '/networks/create', body);

    expect(second.status).toBe(409);
    expect(second.json).not.toHaveProperty('code');
  });

  it('skip a subnet that somebody else has', async () => {
    const range = await ownRange();
    const foreign = { Name: `foreign-${newInstance()}`, IPAM: { Config: [{ Subnet: `${range}.0/27` }] } };
    const { body } = await engineCall<{ Id: string }>(ground.engineSocket, 'POST', '/networks/create', foreign);
    const other = await openGateGround({ network_pool: `${range}.0/26` });
    try {
      const instances = [newInstance(), newInstance(), newInstance()];
      const made = [];
      for (const instance of instances)
        made.push(await call(other.gate, 'POST', '/networks/create', other.networkRequest(instance)));

      expect(made.map(({ status }) => status)).toEqual([201, 201, 507]);
      expect(made[2]?.json.code).toBe('network.exhausted');
    } finally {
      await other.close();
      await engineCall(ground.engineSocket, 'DELETE', `/networks/${body.Id}`);
    }
  });

  it('have to be there before a container is started, not before it is made', async () => {
    const instance = newInstance();
    const name = `gpuaas-${instance}`;
    const made = await go('POST', `/containers/create?name=${name}`, ground.containerRequest(instance));

    const early = await go('POST', `/containers/${name}/start`);
    await go('POST', '/networks/create', ground.networkRequest(instance));
    const late = await go('POST', `/containers/${name}/start`);

    expect(early.json).toMatchObject({ code: 'engine.failed', detail: { network: name } });
    expect([made.status, late.status]).toEqual([201, 204]);
  });
});

describe('secrets and data through the gate', () => {
  const secretsOf = (instance: string) => join(ground.policy.secrets_dir, instance);
  const put = (instance: string, files: Record<string, string>) =>
    go('PUT', `/gpuaas/v1/secrets/${instance}`, { files });

  it('puts secret files in memory, for the allocation user alone', async () => {
    const instance = newInstance();

    expect((await put(instance, { 'api.key': Buffer.from('s3cret').toString('base64'), empty: '' })).status).toBe(204);

    expect(readFileSync(join(secretsOf(instance), 'api.key'), 'utf8')).toBe('s3cret');
    const { uid, gid } = ground.policy.allocation;
    expect(statSync(secretsOf(instance))).toMatchObject({ uid, gid, mode: 0o040500 });
    expect(statSync(join(secretsOf(instance), 'api.key'))).toMatchObject({ uid, gid, mode: 0o100400 });
    expect(ground.log.join('')).not.toContain('s3cret');
  });

  it('replaces all of them with the next put', async () => {
    const instance = newInstance();
    await put(instance, { old: '' });

    await put(instance, { new: '' });

    expect([existsSync(join(secretsOf(instance), 'old')), existsSync(join(secretsOf(instance), 'new'))]).toEqual([
      false,
      true,
    ]);
  });

  it('mounts them read-only and removes them with the container', async () => {
    const instance = newInstance();
    await put(instance, { key: Buffer.from('s3cret').toString('base64') });
    await go('POST', '/networks/create', ground.networkRequest(instance));
    const body = ground.containerRequest(instance, {
      top: { Cmd: ['cat /run/secrets/key; id -u; touch /run/secrets/x; sleep 60'] },
      host: {
        Mounts: [
          {
            ...{ Type: 'bind', Source: secretsOf(instance), Target: '/run/secrets', ReadOnly: true },
            BindOptions: { Propagation: 'rprivate' },
          },
        ],
      },
    });
    expect((await go('POST', `/containers/create?name=gpuaas-${instance}`, body)).status).toBe(201);
    expect((await go('POST', `/containers/gpuaas-${instance}/start`)).status).toBe(204);

    await until('it has read its secret', async () => {
      const { text } = await go('GET', `/containers/gpuaas-${instance}/logs?stdout=1&stderr=1`);
      return text.includes('s3cret') && text.includes('Read-only file system');
    });
    await go('DELETE', `/containers/gpuaas-${instance}?force=1`);

    expect(existsSync(secretsOf(instance))).toBe(false);
  });

  it('refuses a container whose secrets are not there', async () => {
    const instance = newInstance();
    await go('POST', '/networks/create', ground.networkRequest(instance));
    const mount = {
      ...{ Type: 'bind', Source: secretsOf(instance), Target: '/run/secrets', ReadOnly: true },
      BindOptions: { Propagation: 'rprivate' },
    };

    const answer = await go(
      'POST',
      `/containers/create?name=gpuaas-${instance}`,
      ground.containerRequest(instance, { host: { Mounts: [mount] } }),
    );

    expect(answer.json).toMatchObject({ code: 'mount.refused', detail: { path: secretsOf(instance) } });
  });

  it('keeps no secret on a disk', async () => {
    const other = await openGateGround({ secrets_dir: join(ground.folder, 'on-disk') });
    try {
      const answer = await call(other.gate, 'PUT', '/gpuaas/v1/secrets/x', { files: { a: '' } });

      expect(answer.json).toMatchObject({ code: 'secret.unavailable' });
      expect(existsSync(join(ground.folder, 'on-disk/x'))).toBe(false);
    } finally {
      await other.close();
    }
  });

  it('removes secrets always and data when asked, and says what is gone', async () => {
    const instance = await ground.makeInstance();
    await put(instance, { key: '' });
    const data = join(ground.policy.allocation.home, 'gpuaas/workloads', instance);
    await go('DELETE', `/containers/gpuaas-${instance}`);
    await put(instance, { key: '' });

    const first = await go('DELETE', `/gpuaas/v1/workloads/${instance}/data`);
    const second = await go('DELETE', `/gpuaas/v1/workloads/${instance}/data?data=1`);
    const third = await go('DELETE', `/gpuaas/v1/workloads/${instance}/data?data=1`);

    expect([first.json, second.json, third.json]).toEqual([
      { removed: [secretsOf(instance)], kept: [data] },
      { removed: [data], kept: [] },
      { removed: [], kept: [] },
    ]);
  });

  it('does not remove data under a container', async () => {
    const instance = await ground.makeInstance();

    const answer = await go('DELETE', `/gpuaas/v1/workloads/${instance}/data?data=1`);

    expect(answer.json).toMatchObject({ code: 'policy.refused', errors: [{ code: 'in_use' }] });
    expect(lstatSync(join(ground.policy.allocation.home, 'gpuaas/workloads', instance, 'ws')).isDirectory()).toBe(true);
  });
});

const onceOf = once;

interface SeenEvent {
  readonly Action: string;
  readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
}

/** An open event stream and what came on it. */
function openEvents(query = '') {
  let text = '';
  const sent = request({ socketPath: ground.gate.socketPath, path: `/events${query}`, agent: false }).end();
  sent.on('error', () => undefined);
  const opened = once(sent, 'response').then(([response]) => {
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('error', () => undefined);
  });
  return {
    opened,
    text: () => text,
    list: (): SeenEvent[] =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line)),
    stop: () => sent.destroy(),
  };
}

async function hijack(path: string, body: string): Promise<Duplex> {
  const sent = request({
    ...{ socketPath: ground.gate.socketPath, method: 'POST', path, agent: false },
    headers: { connection: 'Upgrade', upgrade: 'tcp', 'content-length': body.length },
  });
  sent.end(body);
  const [response, socket, head] = await once(sent, 'upgrade');
  expect(response.statusCode).toBe(101);
  if (head.length > 0) socket.unshift(head);
  return socket;
}

/** A listening port on the loopback address. */
async function takePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return { number: address.port, close: () => server.close() };
}

/** The engine goes away, the gate goes away, clients go away: nothing breaks that should not. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type ClientRequest, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startGate } from '../../src/gate/gate.ts';
import { createLog } from '../../src/kit/log.ts';
import { engineCall } from '../support/engine-call.ts';
import { heldBytes } from '../support/held-memory.ts';
import { call, exchange, type GateGround, newInstance, openGateGround, statusesIn, until } from './gate-ground.ts';

let ground: GateGround;
beforeAll(async () => {
  ground = await openGateGround();
});
afterAll(async () => await ground.close());
afterEach(() => {
  ground.recorder.hold(false);
  ground.recorder.cut(false);
});

const go = (method: string, path: string, body?: unknown) => call(ground.gate, method, path, body);

async function running(): Promise<string> {
  const instance = await ground.makeInstance();
  expect((await go('POST', `/containers/gpuaas-${instance}/start`)).status).toBe(204);
  return instance;
}

interface RawState {
  readonly State: { readonly Status: string; readonly Pid: number };
}
async function stateOf(instance: string) {
  const { body } = await engineCall<RawState>(ground.engineSocket, 'GET', `/containers/gpuaas-${instance}/json`);
  return body.State;
}

/** A stream through the gate, with what came on it and how it ended. */
function openStream(method: string, path: string, { keep = true }: { keep?: boolean } = {}) {
  const sent: ClientRequest = request({ socketPath: ground.gate.socketPath, method, path, agent: false }).end();
  const seen = { text: '', length: 0, isBroken: false, isEnded: false };
  sent.on('error', () => {
    seen.isBroken = true;
  });
  const opened = new Promise<void>((resolve) => {
    sent.on('response', (response) => {
      response.setEncoding('latin1').on('data', (chunk: string) => {
        seen.text += keep ? chunk : '';
        seen.length += chunk.length;
      });
      response.on('error', () => {
        seen.isBroken = true;
      });
      response.on('end', () => {
        seen.isEnded = response.complete;
      });
      resolve();
    });
  });
  return { sent, seen, opened };
}

describe('an engine that cannot be reached', () => {
  it.each([
    ['is not there', (path: string) => path],
    [
      'left its socket behind',
      (path: string) => {
        writeFileSync(path, '');
        return path;
      },
    ],
  ])('because it %s is not_running', async (_what, make) => {
    const gate = await startGate({
      ...{ socketPath: join(ground.folder, 'g2.sock'), engineSocket: make(join(ground.folder, 'no-engine.sock')) },
      ...{ stateDir: join(ground.folder, 'state2'), policy: ground.policy, log: createLog({ level: 'silent' }) },
    });

    const answers = await Promise.all(
      ['/_ping', '/info', '/containers/gpuaas-x/json', '/containers/json'].map((path) => call(gate, 'GET', path)),
    );
    await gate.close();

    for (const { status, json } of answers) {
      expect([status, json.code, json.reason]).toEqual([503, 'engine.unavailable', 'not_running']);
    }
  });

  it('because the gate may not use its socket is no_permission', async () => {
    const folder = join(ground.folder, 'unprivileged');
    mkdirSync(folder);
    const engine = createServer().listen(join(ground.folder, 'closed.sock'));
    await once(engine, 'listening');
    chmodSync(join(ground.folder, 'closed.sock'), 0o600);
    chmodSync(ground.folder, 0o755);
    chownSync(folder, 65_534, 65_534);
    const script = `
      import { startGate } from ${JSON.stringify(join(import.meta.dirname, '../../src/gate/gate.ts'))};
      import { createLog } from ${JSON.stringify(join(import.meta.dirname, '../../src/kit/log.ts'))};
      await startGate({ ...${JSON.stringify({
        socketPath: join(folder, 'gate.sock'),
        engineSocket: join(ground.folder, 'closed.sock'),
        stateDir: join(folder, 'state'),
        policy: ground.policy,
      })}, log: createLog({ level: 'silent' }) });
      console.log('open');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      ...{ uid: 65_534, gid: 65_534, stdio: ['ignore', 'pipe', 'inherit'], cwd: '/' },
    });
    try {
      await once(child.stdout ?? child, 'data');

      const { status, json } = await call({ socketPath: join(folder, 'gate.sock') }, 'GET', '/info');

      expect([status, json.code, json.reason]).toEqual([503, 'engine.unavailable', 'no_permission']);
    } finally {
      child.kill('SIGKILL');
      engine.close();
    }
  });

  it('refuses what is not allowed all the same', async () => {
    ground.recorder.cut(true);

    const refused = await go('POST', '/containers/create?name=gpuaas-x', { Privileged: true });
    const unreachable = await go('GET', '/containers/gpuaas-x/json');
    ground.recorder.cut(false);

    expect([refused.status, unreachable.status]).toEqual([403, 503]);
  });

  it('is reached again as soon as it is back', async () => {
    ground.recorder.cut(true);
    await go('GET', '/_ping');
    ground.recorder.cut(false);

    expect((await go('GET', '/info')).status).toBe(200);
  });

  it('breaks a stream in a way that the client can tell from its end', async () => {
    const instance = await running();
    const stream = openStream('GET', `/containers/gpuaas-${instance}/logs?stdout=1&follow=1`);
    await stream.opened;
    await until('there is a line', () => stream.seen.text.includes('ready'));

    ground.recorder.cut(true);
    await until('the stream is broken', () => stream.seen.isBroken);
    ground.recorder.cut(false);

    expect(stream.seen.isEnded).toBe(false);
    expect((await stateOf(instance)).Status).toBe('running');
  });
});

describe('an engine that hangs', () => {
  it('keeps no client from being refused, and answers the others when it goes on', async () => {
    const instance = await running();
    ground.recorder.hold(true);
    const waiting = go('GET', `/containers/gpuaas-${instance}/json`);

    expect((await go('GET', '/images/json')).status).toBe(403);
    ground.recorder.hold(false);

    expect((await waiting).status).toBe(200);
  });

  it('is asked no longer for a client that went away', async () => {
    await go('GET', '/info');
    ground.recorder.hold(true);
    const before = ground.recorder.open();
    const streams = Array.from({ length: 20 }, () => openStream('GET', '/info'));
    // Some go over connections that were kept.
    await until('all calls wait', () => ground.recorder.open() >= streams.length);

    for (const { sent } of streams) sent.destroy();

    await until('none waits', () => ground.recorder.open() <= before);
    ground.recorder.hold(false);
    expect((await go('GET', '/info')).status).toBe(200);
  });
});

describe('a gate that is restarted in the middle of everything', () => {
  it('leaves the workload running and known (fault 36)', async () => {
    const instance = await running();
    const { Pid } = await stateOf(instance);
    const { json } = await go('POST', `/containers/gpuaas-${instance}/exec`, {
      Cmd: ['/bin/sh', '-c', 'sleep 1; touch /workspace/done'],
    });
    await go('POST', `/exec/${json.Id}/start`, { Detach: true });
    const streams = [
      openStream('GET', `/containers/gpuaas-${instance}/logs?stdout=1&follow=1`),
      openStream('GET', `/containers/gpuaas-${instance}/stats`),
      openStream('POST', `/containers/gpuaas-${instance}/wait`),
      openStream('GET', '/events'),
    ];
    await Promise.all(streams.map(({ opened }) => opened));

    const said = ground.log.length;
    await ground.restartGate();

    await until('every stream is broken', () => streams.every(({ seen }) => seen.isBroken));
    expect(ground.log.slice(said).filter((line) => line.includes('"level":"error"'))).toEqual([]);
    expect(await stateOf(instance)).toMatchObject({ Status: 'running', Pid });
    await until('the program has ended', async () => (await go('GET', `/exec/${json.Id}/json`)).json.Running === false);
    expect((await go('GET', `/exec/${json.Id}/json`)).json.ExitCode).toBe(0);
    expect((await go('POST', `/containers/gpuaas-${instance}/stop?t=3`)).status).toBe(204);
  });

  it('answers a second one at the same place with a clear refusal, and goes on', async () => {
    const second = startGate({
      ...{ socketPath: ground.gate.socketPath, engineSocket: ground.engineSocket, stateDir: join(ground.folder, 's3') },
      ...{ policy: ground.policy, log: createLog({ level: 'silent' }) },
    });

    await expect(second).rejects.toMatchObject({ code: 'agent.busy' });
    expect((await go('GET', '/_ping')).text).toBe('OK');
  });
});

describe('clients that go away', () => {
  it('leave no connection behind, on either side', async () => {
    const instance = await running();
    await go('GET', '/info');
    const streams = Array.from({ length: 10 }, () => [
      openStream('GET', `/containers/gpuaas-${instance}/logs?stdout=1&follow=1`),
      openStream('GET', `/containers/gpuaas-${instance}/stats`),
      openStream('POST', `/containers/gpuaas-${instance}/wait`),
      openStream('GET', '/events'),
    ]).flat();
    await Promise.all(streams.map(({ opened }) => opened));
    expect(ground.recorder.open()).toBeGreaterThanOrEqual(40);

    for (const { sent } of streams) sent.destroy();

    // What may stay is the small pool of idle connections to the engine.
    await until('only the pool is left', () => ground.recorder.open() <= 8);
    expect((await stateOf(instance)).Status).toBe('running');
  });

  it('leave no connection behind after a protocol switch, however it ends', async () => {
    const instance = await running();
    for (let turn = 0; turn < 5; turn += 1) {
      const { json } = await go('POST', `/containers/gpuaas-${instance}/exec`, {
        Cmd: ['/bin/sh', '-c', 'while :; do echo x; sleep 0.1; done & sleep 1; kill $!'],
        AttachStdout: true,
      });
      const socket = connect(ground.gate.socketPath);
      socket.on('error', () => undefined);
      socket.write(
        `POST /exec/${json.Id}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}`,
      );
      await once(socket, 'data');
      if (turn % 2 === 0) socket.destroy();
      else socket.end();
    }

    await until('only the pool is left', () => ground.recorder.open() <= 8);
  });

  it('stop a pull at the engine when they go away', async () => {
    ground.recorder.hold(true);
    const [image = '', digest = ''] = ground.images.tiny.split('@');
    const before = ground.recorder.open();
    const { sent } = openStream('POST', `/images/create?fromImage=${encodeURIComponent(image)}&tag=${digest}`);
    await until('the engine is asked', () => ground.recorder.text().includes('/images/create'));

    sent.destroy();

    await until('the engine is not asked any more', () => ground.recorder.open() <= before);
    ground.recorder.hold(false);
  });

  it('read as slowly as they like: the gate does not hoard for them', async () => {
    const bytes = 40_000_000;
    const instance = await ground.makeInstance({
      // It lives on: an engine cuts off the stream of one that ended.
      top: { Cmd: ['yes $(head -c 1000 /dev/zero | tr "\\0" a) | head -n 40000; echo that is all; sleep 1000'] },
      host: {
        LogConfig: { Type: 'json-file', Config: { 'max-size': '200m', 'max-file': '1' } },
        NanoCpus: 1_000_000_000,
      },
    });
    await go('POST', `/containers/gpuaas-${instance}/start`);
    const socket = connect(ground.gate.socketPath);
    socket.write(`GET /containers/gpuaas-${instance}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(socket, 'data');
    socket.pause();
    const before = await heldBytes();

    // Meanwhile the container writes all it has to say, and another client reads all of it.
    const end = `/containers/gpuaas-${instance}/logs?stdout=1&tail=1`;
    await until('the engine has written all of it down', async () =>
      (await go('GET', end)).text.includes('that is all'),
    );
    const swift = openStream('GET', `/containers/gpuaas-${instance}/logs?stdout=1`, { keep: false });
    await until('the other one has read all', () => swift.seen.isEnded);

    expect(swift.seen.length).toBeGreaterThan(bytes);
    expect((await heldBytes()) - before).toBeLessThan(bytes / 10);
    let received = 0;
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    socket.resume();
    await until('all of it has come', () => received > bytes);
    socket.destroy();
    await go('DELETE', `/containers/gpuaas-${instance}?force=1`);
  });
});

it('asks the engine exactly once for a call on a container that it knows', async () => {
  const instance = await running();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  ground.recorder.forget();

  for (let turn = 0; turn < 5; turn += 1) {
    await call(ground.gate, 'GET', `/containers/gpuaas-${instance}/json`, undefined, { agent });
    await call(ground.gate, 'GET', `/containers/gpuaas-${instance}/logs?stdout=1`, undefined, { agent });
  }
  agent.destroy();

  expect(ground.recorder.requests()).toHaveLength(10);
});

it('survives that its state folder is taken away under it, and says so', async () => {
  const instance = await ground.makeInstance();
  rmSync(join(ground.folder, 'state/pending-starts'), { recursive: true });

  const answer = await go('POST', `/containers/gpuaas-${instance}/start`);
  mkdirSync(join(ground.folder, 'state/pending-starts'), { mode: 0o700 });

  expect([answer.status, answer.json.code]).toEqual([500, 'internal']);
  expect((await stateOf(instance)).Status).toBe('created');
  expect(ground.log.join('')).toContain('call failed');
});

describe('a client that opens more than it needs', () => {
  it('is told so at the 129th stream, while starts are still verified and other calls answered', async () => {
    const instance = await ground.makeInstance();
    const streams = Array.from({ length: 300 }, () => openStream('GET', '/events'));
    await Promise.all(streams.map(({ opened }) => opened));

    const refused = await go('GET', '/events');
    const started = await go('POST', `/containers/gpuaas-${instance}/start`);
    const ping = await go('GET', '/_ping');
    for (const { sent } of streams) sent.destroy();

    expect([refused.status, refused.json.code, refused.json.reason]).toEqual([503, 'engine.unavailable', 'busy']);
    expect([started.status, ping.status]).toEqual([204, 200]);
    const later = openStream('GET', '/events');
    await later.opened;
    later.sent.destroy();
    await until('nothing is left open at the engine', () => ground.recorder.open() <= 8);
  });

  it('is cut off when it sends a request before the answer to the one before', async () => {
    const before = await heldBytes();
    ground.recorder.forget();

    const received = await exchange(ground.gate, 'GET /info HTTP/1.1\r\n\r\n'.repeat(50_000));

    expect(statusesIn(received).length).toBeLessThanOrEqual(1);
    expect(ground.recorder.requests().length).toBeLessThanOrEqual(2);
    expect((await heldBytes()) - before).toBeLessThan(20 * 2 ** 20);
    expect((await go('GET', '/_ping')).status).toBe(200);
  });

  it('may send one request after the other on one connection', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });

    const answers: number[] = [];
    for (let turn = 0; turn < 20; turn += 1) {
      answers.push((await call(ground.gate, 'GET', '/info', undefined, { agent })).status);
    }
    agent.destroy();

    expect(new Set(answers)).toEqual(new Set([200]));
  });

  it('cannot be promised more than the host has', async () => {
    const instance = newInstance();
    const create = (host: Record<string, unknown>) =>
      go('POST', `/containers/create?name=gpuaas-${instance}`, ground.containerRequest(instance, { host }));
    const huge = 2 ** 50;
    ground.recorder.forget();

    const memory = await create({ Memory: huge, MemorySwap: huge });
    const cores = await create({ NanoCpus: (cpus().length + 1) * 1e9 });

    expect(memory.json).toMatchObject({ code: 'resources.exceeded', errors: [{ path: '/HostConfig/Memory' }] });
    expect(cores.json).toMatchObject({ code: 'resources.exceeded', errors: [{ path: '/HostConfig/NanoCpus' }] });
    expect(ground.recorder.requests()).toEqual([]);
    const limitless = await create({ NanoCpus: 1e300, Memory: 1e300, MemorySwap: 1e300, ShmSize: 1e300 });
    expect(limitless.json.errors.map(({ path }: { path: string }) => path).sort()).toEqual([
      ...['/HostConfig/Memory', '/HostConfig/MemorySwap', '/HostConfig/NanoCpus', '/HostConfig/ShmSize'],
    ]);
  });

  it('cannot fill the memory with secret folders of instances that are not there', async () => {
    const { secrets_dir: secrets } = ground.policy;
    const put = (instance: string, files: object) => go('PUT', `/gpuaas/v1/secrets/${instance}`, { files });
    await put('first', { a: 'eA==' });
    for (let index = 1; index < 1024; index += 1) mkdirSync(join(secrets, `other-${index}`));

    const refused = await put('one-more', { a: 'eA==' });
    const again = await put('first', { b: 'eA==' });
    const emptied = await put('first', {});

    expect([refused.status, refused.json.code]).toEqual([403, 'secret.unavailable']);
    expect([again.status, emptied.status]).toEqual([204, 204]);
    expect(existsSync(join(secrets, 'first'))).toBe(false);
    rmSync(secrets, { recursive: true });
  });
});

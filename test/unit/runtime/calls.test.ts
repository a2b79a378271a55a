/** What becomes of a call when the other side misbehaves: against a scripted server on a real socket. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ContainerRequest } from '../../../src/policy/container-request.ts';
import type { EngineTimeouts } from '../../../src/runtime/docker/calls.ts';
import { openDockerEngine } from '../../../src/runtime/docker/docker-engine.ts';
import type { ContainerEngine } from '../../../src/runtime/engine.ts';
import { type Script, type ScriptedEngine, sendJson, startScriptedEngine } from './scripted-engine.ts';

let scripted: ScriptedEngine | undefined;

afterEach(async () => {
  vi.useRealTimers();
  await scripted?.close();
  scripted = undefined;
});

async function open(script: Script, timeouts: Partial<EngineTimeouts> = {}) {
  scripted = await startScriptedEngine(script);
  const engine = openDockerEngine({ socketPath: scripted.socketPath, timeouts });
  return { engine, seen: scripted.seen, cut: scripted.cut };
}

/** Clocks of calls stand still from now on, until a test moves them. */
const stopClocks = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
const anHour = 3_600_000;

/** Waits until so many calls are measured. */
async function clocksRunning(count: number): Promise<void> {
  while (vi.getTimerCount() !== count) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const soon = () => AbortSignal.timeout(25_000);
const request = { Image: 'x' } as ContainerRequest;
const name = 'gpuaas-a';

describe('an answer of the gate', () => {
  it('that refuses keeps its code and detail', async () => {
    const errors = [{ path: '/HostConfig/Privileged', code: 'const', message: 'must be false' }];
    const body = { message: 'refused', code: 'policy.refused', errors, detail: { errors } };
    const { engine } = await open((_request, response) => sendJson(response, 403, body));

    await expect(engine.create(name, request, soon())).rejects.toMatchObject({
      ...{ code: 'policy.refused', detail: { errors } },
    });
  });

  it('with a code that nobody knows counts as the words of the engine', async () => {
    const body = { message: 'odd', code: 'toString', detail: {} };
    const { engine } = await open((_request, response) => sendJson(response, 500, body));

    await expect(engine.list(soon())).rejects.toMatchObject({
      ...{ code: 'engine.failed', detail: { reason: 'odd', status: 500, call: 'list' } },
    });
  });

  it.each([
    [404, `No such container: ${name}`],
    [409, 'can not get logs from container which is dead or marked for removal'],
  ])('of an engine that has no log of a container any more is %i, and known as that', async (status, message) => {
    const { engine } = await open((_request, response) => sendJson(response, status, { message }));

    await expect(engine.logs(name, { signal: soon(), follow: true }).next()).rejects.toMatchObject({
      ...{ code: 'container.not_found', detail: { container: name } },
    });
  });

  it('that redirects is not followed', async () => {
    const { engine, seen } = await open((_request, response) => {
      response.writeHead(302, { location: '/elsewhere' }).end();
    });

    await expect(engine.list(soon())).rejects.toMatchObject({ code: 'engine.failed', detail: { status: 302 } });
    expect(seen).toHaveLength(1);
  });
});

describe('an answer of the engine', () => {
  it.each([
    ['Bind for 127.0.0.1:8080 failed: port is already allocated', 'port.conflict', { port: 8080 }],
    ['no space left on device', 'disk.full', {}],
    ['Unknown runtime specified runsc', 'sandbox.unavailable', {}],
    ['something new', 'engine.failed', { reason: 'something new', status: 500 }],
  ])('that says %j is %s', async (message, code, detail) => {
    const { engine } = await open((_request, response) => sendJson(response, 500, { message }));

    await expect(engine.start(name, soon())).rejects.toMatchObject({ code, detail: { ...detail, container: name } });
  });

  it('that is no JSON is engine.failed', async () => {
    const { engine } = await open((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end('<html>');
    });

    await expect(engine.inspect(name, soon())).rejects.toMatchObject({ code: 'engine.failed' });
  });

  it.each([
    ['list', (engine: ContainerEngine) => engine.list(soon())],
    ['create', (engine: ContainerEngine) => engine.create(name, request, soon())],
    ['exec', (engine: ContainerEngine) => engine.exec(name, ['true'], { signal: soon() })],
    ['network', (engine: ContainerEngine) => engine.ensureNetwork(name, {}, soon())],
    ['wait', (engine: ContainerEngine) => engine.wait(name, soon())],
  ])('to %s that is empty or cut short is engine.failed', async (_call, make) => {
    const answers = ['', '{"Id":'];
    const { engine } = await open(({ line }, response) => {
      if (line.startsWith('GET /networks')) {
        sendJson(response, 404, { message: 'none' });
      } else {
        response.writeHead(200, { 'content-type': 'application/json' }).end(answers.shift());
      }
    });

    await expect(make(engine)).rejects.toMatchObject({ code: 'engine.failed' });
    await expect(make(engine)).rejects.toMatchObject({ code: 'engine.failed' });
  });

  it('in the event stream that is no JSON is engine.failed', async () => {
    const { engine } = await open((_request, response) => response.writeHead(200).end('{"Action":\n'));

    await expect(engine.events({ signal: soon() }).next()).rejects.toMatchObject({ code: 'engine.failed' });
  });

  it('that is not an error page of JSON is quoted', async () => {
    const { engine } = await open((_request, response) => response.writeHead(502).end('bad gateway'));

    await expect(engine.list(soon())).rejects.toMatchObject({ detail: { status: 502, reason: 'bad gateway' } });
  });

  it('of 409 to a create says that a container of ours is there, since the gate names a foreign one', async () => {
    const { engine } = await open((_request, response) => sendJson(response, 409, { message: 'Conflict.' }));

    await expect(engine.create(name, request, soon())).rejects.toMatchObject({ code: 'engine.failed' });
  });
});

describe('a connection', () => {
  it('that is cut in the middle of an answer is engine.unavailable, and soon', async () => {
    const { engine } = await open((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
      response.write('[{"Id":', () => response.destroy());
    });

    await expect(engine.list(soon())).rejects.toMatchObject({ code: 'engine.unavailable' });
  });

  it('that is cut before any answer is engine.unavailable', async () => {
    const { engine } = await open((_request, response) => void response.destroy());

    await expect(engine.list(soon())).rejects.toMatchObject({ code: 'engine.unavailable', detail: { call: 'list' } });
  });

  it('that was closed while idle is opened anew, without an error', async () => {
    const { engine, cut } = await open((_request, response) => sendJson(response, 200, []));

    await engine.list(soon());
    for (let round = 0; round < 5; round += 1) {
      cut();
      expect(await engine.list(soon())).toEqual([]);
    }
  });

  it('carries one call after another', async () => {
    const { engine, seen } = await open((_request, response) => sendJson(response, 200, []));

    await engine.list(soon());
    await engine.list(soon());

    expect(seen).toHaveLength(2);
  });
});

describe('an archive', () => {
  const refuse =
    (status: number, value: object): Script =>
    (_request, response) => {
      const body = JSON.stringify(value);
      response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
    };

  it('of what is not there is nothing, and asked for once', async () => {
    const { engine, seen } = await open(refuse(404, { message: 'Could not find the file /data/x' }));

    expect(await engine.getArchive(name, '/data/x', soon())).toBeUndefined();
    expect(seen).toHaveLength(1);
  });

  it.each([
    [403, 'policy.refused'],
    [404, 'container.not_found'],
  ])('that the gate refuses with %i is asked for once, and says why', async (status, code) => {
    const { engine, seen } = await open(refuse(status, { message: 'no', code, detail: { path: 'x' } }));

    await expect(engine.getArchive(name, '/data/x', soon())).rejects.toMatchObject({ code, detail: { path: 'x' } });
    expect(seen).toHaveLength(1);
  });

  it('that nobody begins to read is let go of', async () => {
    const closed = Promise.withResolvers<void>();
    const { engine } = await open((_request, response) => {
      response.once('close', closed.resolve);
      response.writeHead(200, { 'content-type': 'application/x-tar' }).write('some');
    });

    const archive = await engine.getArchive(name, '/data', soon());
    archive?.destroy();

    await closed.promise;
  });
});

describe('a deadline', () => {
  it('ends a call without an answer, and names it', async () => {
    const { engine } = await open(() => undefined, { lookMs: 50 });

    await expect(engine.inspect(name, soon())).rejects.toMatchObject({
      ...{ code: 'engine.timed_out', detail: { call: 'inspect', timeout_ms: 50, container: name } },
    });
  });

  it('ends a call whose answer never ends', async () => {
    const { engine } = await open((_request, response) => void response.writeHead(200).write('['), { lookMs: 50 });

    await expect(engine.list(soon())).rejects.toMatchObject({ code: 'engine.timed_out' });
  });

  it('of a stop is its grace and some more', async () => {
    const { engine } = await open(() => undefined, { stopSlackMs: 50 });

    await expect(engine.stop(name, 0.1, soon())).rejects.toMatchObject({
      ...{ code: 'engine.timed_out', detail: { call: 'stop', timeout_ms: 150 } },
    });
  });

  it('of a wait ends with its headers: the end itself may take any time', async () => {
    stopClocks();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const { engine } = await open((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
      void ended.then(() => response.end('{"StatusCode":4}'));
    });

    const waiting = engine.wait(name, soon());
    await clocksRunning(1);
    await clocksRunning(0);
    vi.advanceTimersByTime(anHour);
    end();

    expect(await waiting).toBe(4);
  });

  it('of logs that are there is a stall, and a slow reader is none', async () => {
    const entry = Buffer.concat([
      Buffer.from([1, 0, 0, 0, 0, 0, 0, 33]),
      Buffer.from('2026-01-01T00:00:00.000000001Z a\n'),
    ]);
    stopClocks();
    const { engine } = await open((_request, response) => void response.writeHead(200).write(entry), { stallMs: 100 });

    const logs = engine.logs(name, { signal: soon(), follow: false });
    const first = await logs.next();
    const measured = vi.getTimerCount();
    vi.advanceTimersByTime(anHour);
    const stalled = expect(logs.next()).rejects.toMatchObject({
      code: 'engine.timed_out',
      detail: { timeout_ms: 100 },
    });
    await clocksRunning(1);
    vi.advanceTimersByTime(100);

    expect(first.value).toMatchObject({ channel: 'stdout', partial: false });
    expect(measured).toBe(0);
    await stalled;
  });
});

describe('a log that is followed', () => {
  const entry = (second: number, text: string) => {
    const line = Buffer.from(`2026-01-01T00:00:0${second}.000000000Z ${text}\n`);
    return Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, line.length]), line]);
  };
  const textsOf = async (engine: ContainerEngine, over: { tail?: number } = {}) => {
    const texts: string[] = [];
    for await (const { data } of engine.logs(name, { signal: soon(), follow: true, ...over })) {
      texts.push(data.toString());
    }
    return texts;
  };

  it('is read to its end where the engine cuts the stream off with the end of the container', async () => {
    const { engine, seen } = await open(({ line }, response) => {
      const all = [entry(1, 'one'), entry(2, 'two'), entry(3, 'three')];
      response.writeHead(200).end(Buffer.concat(line.includes('follow=1') ? all.slice(0, 1) : all));
    });

    expect(await textsOf(engine)).toEqual(['one', 'two', 'three']);
    expect(seen).toHaveLength(2);
  });

  it.each([
    [404, `No such container: ${name}`],
    [409, 'can not get logs from container which is dead or marked for removal'],
  ])('ends in peace where the container was removed meanwhile: %i', async (status, message) => {
    const { engine } = await open(({ line }, response) => {
      if (line.includes('follow=1')) response.writeHead(200).end(entry(1, 'one'));
      else sendJson(response, status, { message });
    });

    expect(await textsOf(engine)).toEqual(['one']);
  });

  it('from its end on, and silent, is not read from its beginning afterwards', async () => {
    const { engine, seen } = await open((_request, response) => void response.writeHead(200).end());

    expect(await textsOf(engine, { tail: 0 })).toEqual([]);
    expect(seen).toHaveLength(1);
  });
});

describe("the caller's signal", () => {
  it('that is aborted already asks nothing', async () => {
    const { engine, seen } = await open((_request, response) => sendJson(response, 200, []));
    const reason = new Error('too late');

    await expect(engine.list(AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(seen).toEqual([]);
  });

  it('wins over whatever the other side does then', async () => {
    const reason = new Error('cancelled');
    const abort = new AbortController();
    const { engine } = await open((_request, response) => {
      abort.abort(reason);
      response.destroy();
    });

    await expect(engine.list(abort.signal)).rejects.toBe(reason);
  });

  it('closes the connection of its call', async () => {
    const abort = new AbortController();
    const closed = Promise.withResolvers<void>();
    const { engine } = await open((_request, response) => {
      response.once('close', closed.resolve);
      abort.abort(new Error('cancelled'));
    });

    await expect(engine.list(abort.signal)).rejects.toThrow('cancelled');
    await closed.promise;
  });

  it('is let go of after each call', async () => {
    const { engine } = await open((_request, response) => sendJson(response, 200, []));
    const abort = new AbortController();
    let listeners = 0;
    const add = abort.signal.addEventListener.bind(abort.signal);
    const remove = abort.signal.removeEventListener.bind(abort.signal);
    abort.signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1;
      add(...args);
    };
    abort.signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...args);
    };

    await engine.list(abort.signal);
    await engine.list(abort.signal);

    expect(listeners).toBe(0);
  });
});

describe('a removal that somebody else began', () => {
  it('is waited for', async () => {
    let looks = 0;
    const { engine } = await open(({ line }, response) => {
      if (line.startsWith('DELETE')) {
        sendJson(response, 409, { message: `removal of container ${name} is already in progress` });
        return;
      }
      looks += 1;
      sendJson(response, looks < 3 ? 200 : 404, looks < 3 ? {} : { message: 'No such container' });
    });

    expect(await engine.remove(name, soon())).toBe(true);
    expect(looks).toBe(3);
  });
});

describe('what is sent', () => {
  it('has one spelling, no body where none belongs, and the body of a create untouched', async () => {
    const { engine, seen } = await open(({ line }, response) => {
      const status = line.startsWith('GET /networks') ? 404 : line.includes('/create') ? 201 : 204;
      if (status === 204) {
        response.writeHead(status).end();
      } else {
        sendJson(response, status, { Id: 'c1', message: 'none' });
      }
    });

    await engine.create(name, request, soon());
    await engine.start(name, soon());
    await engine.stop(name, 7, soon());
    await engine.remove(name, soon());
    await engine.ensureNetwork(name, { 'gpuaas.instance': 'a' }, soon());
    await engine.putSecrets('a', { key: Buffer.from('s') }, soon());

    expect(seen.map(({ line, body }) => `${line} ${body}`)).toEqual([
      `POST /containers/create?name=${name} {"Image":"x"}`,
      `POST /containers/${name}/start `,
      `POST /containers/${name}/stop?t=7 `,
      `DELETE /containers/${name}?v=true&force=true `,
      `POST /networks/create {"Name":"${name}","Driver":"bridge","Labels":{"gpuaas.instance":"a"}}`,
      'PUT /gpuaas/v1/secrets/a {"files":{"key":"cw=="}}',
    ]);
  });
});

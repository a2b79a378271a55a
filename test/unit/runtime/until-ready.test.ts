/** The order of things around readiness, on a stand-in engine; what real containers do is in the integration tests. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import type { ReadinessCheck } from '../../../src/contract/workload-oci-launch.ts';
import type { ContainerFacts, LogEntry } from '../../../src/runtime/engine.ts';
import { type ReadinessOptions, untilReady } from '../../../src/runtime/probes/until-ready.ts';
import { waitOnGlobalTimers } from '../../support/waits.ts';

waitOnGlobalTimers();

const running = { status: 'running', exitCode: null, oomKilled: false, error: '', health: 'healthy' } as ContainerFacts;
const exited = { ...running, status: 'exited', exitCode: 0 } as ContainerFacts;
const check: ReadinessCheck = { type: 'http', endpoint: 'web', path: '/', timeout_seconds: 5 };

let port = 0;
const server = createServer((_request, response) => response.end('ok'));

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as { port: number }).port;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

afterEach(() => void vi.useRealTimers());

/** Runs for ever, unless told otherwise; its log has one line. */
function standIn(over: Partial<ReadinessOptions['engine']> = {}): ReadinessOptions['engine'] {
  return {
    inspect: async () => running,
    wait: (_name, signal) => until(signal),
    exec: async () => ({ exitCode: 0, tail: '', adopted: false }),
    logs: async function* () {
      yield { data: Buffer.from('its last line'), partial: false } as LogEntry;
    },
    ...over,
  };
}

async function until(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return await promise;
}

function options(engine: ReadinessOptions['engine'], signal = AbortSignal.timeout(25_000)): ReadinessOptions {
  return { engine, name: 'gpuaas-a', ports: [{ name: 'web', host_port: port }], signal };
}

describe('readiness', () => {
  it('is looked at once more after the last check has passed', async () => {
    const engine = standIn({ inspect: async () => exited });

    await expect(untilReady([check], options(engine))).rejects.toMatchObject({
      ...{ code: 'container.exited', detail: { exit_code: 0, excerpt: 'its last line' } },
    });
  });

  it('without checks ends at once when the container does', async () => {
    // Nobody moves this clock: what waited for it would never end.
    vi.useFakeTimers();
    const engine = standIn({ wait: async () => 0, inspect: async () => exited });

    await expect(untilReady([], options(engine))).rejects.toMatchObject({ code: 'container.exited' });
  });

  it('stops watching the container when it is done', async () => {
    let watched: AbortSignal | undefined;
    const engine = standIn({
      wait: (_name, signal) => {
        watched = signal;
        return until(signal);
      },
    });

    await untilReady([check], options(engine));

    expect(watched?.aborted).toBe(true);
  });

  it('tells what happened to the container although its log is gone', async () => {
    const engine = standIn({
      wait: async () => 137,
      inspect: async () => ({ ...exited, exitCode: 137, oomKilled: true, error: 'killed' }),
      logs: async function* () {
        yield* [];
        throw new AgentError('container.not_found');
      },
    });

    await expect(untilReady([check], options(engine))).rejects.toMatchObject({
      ...{ code: 'container.oom_killed', detail: { exit_code: 137, excerpt: '', reason: 'killed' } },
    });
  });

  it('passes on that the engine is away', async () => {
    const away = new AgentError('engine.unavailable');
    const engine = standIn({ wait: () => Promise.reject(away) });

    await expect(untilReady([], options(engine))).rejects.toBe(away);
  });

  it('starts no check when one of them names no port', async () => {
    const calls: string[] = [];
    const engine = standIn({
      exec: async () => {
        calls.push('exec');
        return { exitCode: 1, tail: '', adopted: false };
      },
    });
    const checks: ReadinessCheck[] = [
      { type: 'exec', command: ['true'], timeout_seconds: 5 },
      { type: 'tcp', endpoint: 'other', timeout_seconds: 5 },
    ];

    await expect(untilReady(checks, options(engine))).rejects.toMatchObject({ code: 'task.invalid' });
    expect(calls).toEqual([]);
  });

  it('ends with the first check that runs out of time, and leaves the others', async () => {
    vi.useFakeTimers();
    let execs = 0;
    const engine = standIn({
      exec: async () => {
        execs += 1;
        return { exitCode: 1, tail: '', adopted: false };
      },
    });
    const checks: ReadinessCheck[] = [
      { type: 'exec', command: ['check', '--token', 's3cr3t'], timeout_seconds: 1 },
      { type: 'exec', command: ['other'], timeout_seconds: 60 },
    ];

    const failed = untilReady(checks, options(engine)).catch((caught: unknown) => caught);
    await vi.advanceTimersByTimeAsync(1000);
    const error = await failed;
    const after = execs;
    await vi.advanceTimersByTimeAsync(60_000);

    expect(error).toMatchObject({
      code: 'readiness.timed_out',
      detail: { check: 'exec', command: 'check', answer: 'exit code 1', timeout_seconds: 1 },
    });
    expect(JSON.stringify(error)).not.toContain('s3cr3t');
    expect(execs).toBe(after);
  });
});

describe('checks of one endpoint', () => {
  const bearer: ReadinessCheck = { ...check, path: '/v1/models', bearer_env: 'KEY' };

  it('send the sealed variable that they name, and tell it nobody', async () => {
    const seen = new Map<string, string | undefined>();
    server.on('request', ({ url = '', headers }) => seen.set(url, headers.authorization));
    const ports = [{ name: 'web', host_port: port }];
    const attempts: unknown[] = [];

    await untilReady([check, bearer], {
      ...{ engine: standIn(), name: 'c', ports, signal: new AbortController().signal, sealedEnv: { KEY: 's3' } },
      onAttempt: (attempt) => attempts.push(attempt),
    });

    expect([...seen]).toEqual([
      ['/', undefined],
      ['/v1/models', 'Bearer s3'],
    ]);
    expect(JSON.stringify(attempts)).not.toContain('s3');
  });

  it.each(['s3\nHost: x', 's3\0', 's\u20ac3'])('cannot send what no header may hold: %j', async (secret) => {
    const failing = untilReady([bearer], { ...options(standIn()), sealedEnv: { KEY: secret } });

    const error = await failing.catch((thrown: unknown) => thrown);

    expect(error).toMatchObject({ code: 'task.invalid', detail: { errors: [{ code: 'bearer' }] } });
    expect(JSON.stringify(error)).not.toContain('s3');
  });

  it('run in their order: the second is not made before the first has passed (G-88)', async () => {
    const attempts: string[] = [];
    const answers = [503, 503, 200, 200];
    const slow = createServer((_request, response) => response.writeHead(answers.shift() ?? 500).end());
    slow.listen(0, '127.0.0.1');
    await once(slow, 'listening');
    const ports = [{ name: 'web', host_port: (slow.address() as { port: number }).port }];

    try {
      await untilReady([check, { ...check, path: '/later' }], {
        ...{ engine: standIn(), name: 'c', ports, signal: new AbortController().signal },
        onAttempt: ({ check: made, ready }) => attempts.push(`${'path' in made ? made.path : ''} ${ready}`),
      });
    } finally {
      slow.close();
    }

    expect(attempts).toEqual(['/ false', '/ false', '/ true', '/later true']);
  });
});

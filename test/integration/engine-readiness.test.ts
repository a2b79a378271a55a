/** Readiness of real containers, and why some never become ready (FAULTS 26, 27; abuse: readiness probes). */

import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import type { ReadinessCheck } from '../../src/contract/workload-oci-launch.ts';
import { assertPortFree } from '../../src/runtime/ports.ts';
import { type ReadinessAttempt, untilReady } from '../../src/runtime/probes/until-ready.ts';
import { until } from '../support/daemon-ground.ts';
import { endsForItsMemory, type LaunchParams, openTestHost, type TestHost } from '../support/test-host.ts';
import { runWorkload, soon } from './engine-workload.ts';

let host: TestHost;

beforeAll(async () => {
  host = await openTestHost();
});

afterAll(async () => {
  await host.close();
});

const timeout_seconds = 60;
const http = (path: string, seconds = timeout_seconds): ReadinessCheck => ({
  ...{ type: 'http', endpoint: 'web', path, timeout_seconds: seconds },
});
const tcp = (seconds = timeout_seconds): ReadinessCheck => ({ type: 'tcp', endpoint: 'web', timeout_seconds: seconds });
const exec = (command: string[], seconds = timeout_seconds): ReadinessCheck => ({
  ...{ type: 'exec', command, timeout_seconds: seconds },
});
const health = (seconds = timeout_seconds): ReadinessCheck => ({
  ...{ type: 'container_health', timeout_seconds: seconds },
});

interface Watched {
  readonly name: string;
  readonly attempts: ReadinessAttempt[];
  readonly ready: Promise<unknown>;
  readonly tookMs: () => number;
}

/** What a script does to go on only when {@link launch} lets it. */
const whenLetGo = 'until [ -e /tmp/go ]; do sleep 0.1; done';

/** Starts the script with one published port and waits for the checks; lets it go once `letGo` holds. */
async function launch(
  script: string,
  checks: readonly ReadinessCheck[],
  over: Partial<LaunchParams> = {},
  letGo: (attempts: readonly ReadinessAttempt[]) => boolean = () => false,
): Promise<Watched> {
  const hostPort = await freePort();
  const ports = [{ name: 'web', container_port: 8080, host_port: hostPort, protocol: 'http' as const }];
  const name = await runWorkload(host, script, { ports, ...over });
  const attempts: ReadinessAttempt[] = [];
  const began = performance.now();
  let took = 0;
  const ready = untilReady(checks, {
    ...{ engine: host.engine, name, ports, signal: soon() },
    onAttempt: (attempt) => {
      attempts.push(attempt);
      if (letGo(attempts)) {
        void host.engine.exec(name, ['touch', '/tmp/go'], { signal: soon() });
      }
    },
  }).finally(() => {
    took = performance.now() - began;
  });
  ready.catch(() => undefined);
  return { name, attempts, ready, tookMs: () => took };
}

const afterThree = ({ length }: readonly unknown[]) => length === 3;

const serve = 'mkdir -p /tmp/www; cd /tmp/www; echo hello > index.html; exec httpd -f -p 8080';

describe('a workload', () => {
  it('is ready when its page answers, and not before', async () => {
    const { ready, attempts } = await launch(`${whenLetGo}; ${serve}`, [http('/index.html')], {}, afterThree);

    await ready;

    expect(attempts.at(-1)).toMatchObject({ ready: true, answer: 'HTTP 200' });
    expect(attempts.length).toBeGreaterThan(3);
    expect(attempts.slice(0, -1).every((attempt) => !attempt.ready)).toBe(true);
  });

  it('is ready by tcp only when something listens behind the proxy of the engine', async () => {
    const script = `${whenLetGo}; exec nc -ll -p 8080 -e sleep 5`;
    const { ready, attempts } = await launch(script, [tcp()], {}, afterThree);

    await ready;

    expect(attempts.at(-1)).toMatchObject({ ready: true });
    expect(attempts.length).toBeGreaterThan(3);
  });

  it('is ready when its command exits 0', async () => {
    const check = exec(['test', '-e', '/tmp/go']);
    const { ready, attempts } = await launch('sleep 300', [check], {}, ({ length }) => length === 1);

    await ready;

    expect(attempts[0]).toMatchObject({ ready: false, answer: 'exit code 1' });
    expect(attempts.at(-1)).toMatchObject({ ready: true, answer: 'exit code 0' });
  });

  it('is ready when its image says that it is healthy', async () => {
    const reference = await host.image('healthy');
    const image = {
      kind: 'registry',
      reference,
      media_type: 'application/vnd.docker.distribution.manifest.v2+json',
    } as const;
    const { ready, attempts } = await launch(
      `${whenLetGo}; touch /tmp/healthy; sleep 300`,
      [health()],
      { image, readiness: [health()] },
      ({ length }) => length === 1,
    );

    await ready;

    // Its checks may have failed often enough by the first look.
    expect(attempts[0]).toMatchObject({ ready: false, answer: expect.stringMatching(/^(starting|unhealthy)$/) });
    expect(attempts.at(-1)).toMatchObject({ ready: true, answer: 'healthy' });
  });

  it('is refused a health check that its image does not have', async () => {
    const { ready } = await launch('sleep 300', [health()]);

    await expect(ready).rejects.toMatchObject({ code: 'task.invalid' });
  });

  it('is ready only when all of its checks have passed', async () => {
    const checks = [http('/index.html'), exec(['test', '-e', '/tmp/go'])];
    const { ready, attempts } = await launch(serve, checks, {}, (seen) => seen.at(-1)?.ready === true);

    await ready;

    expect(attempts.filter((attempt) => attempt.ready)).toHaveLength(2);
    expect(attempts.at(-1)?.check.type).toBe('exec');
  });

  it('without checks is ready when it has run for a while', async () => {
    const { ready, tookMs } = await launch('sleep 300', []);

    await ready;

    // A timer may come a little early.
    expect(tookMs()).toBeGreaterThanOrEqual(950);
  });

  it('that does not answer in time is readiness.timed_out with the last answer and its log', async () => {
    const { ready, name } = await launch('echo password=hunter22; echo still loading; sleep 300', [
      http('/ready?token=abc', 5),
    ]);

    const error = await ready.catch((caught: unknown) => caught);

    expect(error).toMatchObject({
      code: 'readiness.timed_out',
      detail: {
        ...{ check: 'http', endpoint: 'web', path: '/ready', timeout_seconds: 5 },
        excerpt: 'password=[redacted]\nstill loading',
      },
    });
    // The last attempt may have been begun so late that there was no time for its answer.
    expect(JSON.stringify(error)).toMatch(/ECONNRESET|socket hang up|no answer within/);
    expect(await host.engine.inspect(name, soon())).toMatchObject({ status: 'running' });
  });

  it('whose command hangs is readiness.timed_out, too', async () => {
    const { ready, attempts } = await launch('sleep 300', [exec(['sleep', '30'], 1)]);

    await expect(ready).rejects.toMatchObject({ code: 'readiness.timed_out', detail: { check: 'exec' } });
    expect(attempts[0]).toMatchObject({ ready: false, answer: expect.stringContaining('no answer within') });
  });

  it('stops being waited for with the reason of the signal', async () => {
    const name = await runWorkload(host, 'sleep 300');
    const abort = new AbortController();
    const reason = new Error('cancelled');

    const waiting = untilReady([exec(['false'])], {
      ...{ engine: host.engine, name, ports: [], signal: abort.signal },
      onAttempt: () => abort.abort(reason),
    });

    await expect(waiting).rejects.toBe(reason);
  });
});

describe('a container that ends while it is waited for', () => {
  it.each([0, 1, 42])('with %i fails the launch at once, with the end of its log', async (code) => {
    const script = `echo starting; echo "Authorization: Bearer s3cr3t-t0ken" >&2; sleep 0.3; echo giving up; exit ${code}`;
    const { ready, name } = await launch(script, [http('/', 90)]);

    const error = await ready.catch((caught: unknown) => caught);

    expect(error).toMatchObject({ code: 'container.exited', detail: { container: name, exit_code: code } });
    // The other channel is read beside this one: its line may stand anywhere.
    expect(error).toMatchObject({ detail: { excerpt: expect.stringMatching(/^starting\n(?:.*\n)*giving up$/m) } });
    expect(JSON.stringify(error)).not.toContain('s3cr3t-t0ken');
  });

  it('with 0 at once is not ready, although its check would pass', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { ready } = await launch('exit 0', []);
      await expect(ready).rejects.toMatchObject({ code: 'container.exited', detail: { exit_code: 0 } });
    }
  });

  it('for its memory is container.oom_killed', async () => {
    const { ready } = await launch(endsForItsMemory, [http('/')]);

    await expect(ready).rejects.toMatchObject({ code: 'container.oom_killed', detail: { exit_code: 137 } });
  });

  it('by a stop is container.exited, although its exit code is the same', async () => {
    const { ready, name } = await launch('trap "" TERM; touch /tmp/deaf; while :; do sleep 0.1; done', [http('/')]);
    // Before, a SIGTERM would end it.
    await until(
      async () => (await host.engine.exec(name, ['test', '-e', '/tmp/deaf'], { signal: soon() })).exitCode === 0,
      'it to be deaf',
    );
    const outcome = expect(ready).rejects.toMatchObject({ code: 'container.exited', detail: { exit_code: 137 } });

    await host.engine.stop(name, 0, soon());

    await outcome;
  });

  it('keeps no more than 4096 characters of a long log', async () => {
    const { ready } = await launch('seq 1 5000; exit 1', []);

    const error = (await ready.catch((caught: unknown) => caught)) as { detail: { excerpt: string } };

    expect(error.detail.excerpt.length).toBeLessThanOrEqual(4096);
    expect(error.detail.excerpt.endsWith('\n4999\n5000')).toBe(true);
  });
});

describe('a page of a workload', () => {
  type Page = (request: IncomingMessage, response: ServerResponse, container: string) => void;

  /** A server of the test's own stands for the workload's published port; the container only has to run. */
  async function probe(listener: Page, path = '/', seconds = timeout_seconds) {
    const name = await runWorkload(host, 'sleep 300');
    const server = createHttpServer((request, response) => listener(request, response, name)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const attempts: ReadinessAttempt[] = [];
    try {
      const [outcome] = await Promise.allSettled([
        untilReady([http(path, seconds)], {
          ...{ engine: host.engine, name, ports: [{ name: 'web', host_port: port }], signal: soon() },
          onAttempt: (attempt) => attempts.push(attempt),
        }),
      ]);
      return { attempts, outcome };
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  it('is asked once for, by its own name, without following where it points (G-88)', async () => {
    const seen: string[] = [];

    const { attempts } = await probe((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host?.split(':')[0]}`);
      response.writeHead(302, { location: 'http://192.0.2.1/elsewhere' }).end();
    }, '/lab?x=1');

    expect(seen).toEqual(['GET /lab?x=1 localhost']);
    expect(attempts).toMatchObject([{ ready: true, answer: 'HTTP 302' }]);
  });

  it('that comes when the container has ended does not make it ready', async () => {
    const { outcome } = await probe((_request, response, name) => {
      void host.engine.stop(name, 0, soon()).then(() => response.writeHead(200).end());
    });

    expect(outcome).toMatchObject({ reason: { code: 'container.exited' } });
  });

  it('may be endless: only its status counts', async () => {
    const { attempts, outcome } = await probe((_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('x'), 10);
      response.once('close', () => clearInterval(timer));
    });

    expect(attempts).toMatchObject([{ ready: true, answer: 'HTTP 200' }]);
    expect(outcome.status).toBe('fulfilled');
  });

  it('may be giant: little of it is read', async () => {
    let sent = 0;

    const { attempts } = await probe((_request, response) => {
      response.writeHead(200);
      const block = Buffer.alloc(64 * 1024);
      const more = () => {
        while (!response.destroyed && sent < 2 ** 30 && response.write(block)) {
          sent += block.length;
        }
      };
      response.on('drain', more);
      more();
    });

    expect(attempts).toMatchObject([{ ready: true }]);
    expect(sent).toBeLessThan(64 * 2 ** 20);
  });

  it.each([
    // An answer that comes gets more time than it needs.
    ['answers 404', 'HTTP 404', 4, (_request, response) => void response.writeHead(404).end()],
    ['answers 503 (X-11)', 'HTTP 503', 4, (_request, response) => void response.writeHead(503).end('loading')],
    ['never answers', 'no answer within', 1, () => undefined],
    [
      'sends endless headers',
      'HPE_HEADER_OVERFLOW',
      4,
      (_request, response) => {
        response.setHeader(
          'x-long',
          Array.from({ length: 2000 }, () => 'y'.repeat(100)),
        );
        response.end();
      },
    ],
  ] satisfies [string, string, number, Page][])('that %s is not ready', async (_what, answer, seconds, listener) => {
    const { attempts, outcome } = await probe(listener, '/', seconds);

    expect(outcome).toMatchObject({ reason: { code: 'readiness.timed_out' } });
    expect(attempts[0]).toMatchObject({ ready: false, answer: expect.stringContaining(answer) });
  });
});

describe('a host port', () => {
  it('that nobody has is free, again and again', async () => {
    const port = await freePort();

    await assertPortFree(port);
    await assertPortFree(port);
  });

  it.each(['127.0.0.1', '0.0.0.0', '::'])(
    'that somebody holds on %s is port.conflict, and stays his',
    async (address) => {
      const holder = createServer((socket) => socket.end('mine')).listen(0, address);
      await once(holder, 'listening');
      const { port } = holder.address() as { port: number };

      await expect(assertPortFree(port)).rejects.toMatchObject({ code: 'port.conflict', detail: { port } });
      expect(holder.listening).toBe(true);
      holder.close();
    },
  );

  it('that a container publishes is port.conflict', async () => {
    const { name } = await launch('sleep 300', []);
    const [port = 0] = (await host.engine.inspect(name, soon()))?.hostPorts ?? [];

    await expect(assertPortFree(port)).rejects.toMatchObject({ code: 'port.conflict', detail: { port } });
  });
});

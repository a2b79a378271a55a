/** Answers whose client takes nothing of them, on real sockets: what is held for it ends, also where nobody asks for more. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { Type } from 'typebox';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../src/kit/clock.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { everybody } from '../../../../src/server/http/access.ts';
import { eventStream } from '../../../../src/server/http/event-stream.ts';
import { createHttpServer } from '../../../../src/server/http/http-server.ts';
import { createMetrics } from '../../../../src/server/http/metrics.ts';
import { route } from '../../../../src/server/http/route.ts';
import { makeToken } from '../../../../src/server/http/tokens.ts';
import type { LogPart } from '../../../../src/server/hub/log-relay.ts';
import { LogAnswers } from '../../../../src/server/instances/log-answers.ts';
import { observationRoutes } from '../../../../src/server/instances/observation-routes.ts';
import { until } from '../../../support/hub-ground.ts';
import { type LaunchBench, launchBench } from '../../../support/launch-bench.ts';
import { anEvent } from '../../../support/store-samples.ts';
import { unlimited } from '../../../support/unlimited.ts';

const patient = { handshakeMs: 60_000, headersMs: 60_000, requestMs: 60_000, checkMs: 60_000, unreadMs: 60_000 };
const undo: (() => unknown)[] = [];
let bench: LaunchBench;
let paths: Record<'logs' | 'events' | 'quiet' | 'page', string>;

beforeEach(async () => {
  bench = await launchBench();
  const { id } = await bench.running();
  paths = { logs: `/api/v1/app-instances/${id}/logs`, events: '/events', quiet: '/quiet', page: '/page' };
  await bench.store.write(async (tx) => {
    for (let count = 0; count < 400; count += 1) {
      await tx.events.append(anEvent({ subject: { kind: 'project', id: 'loud' }, data: { much: 'x'.repeat(60_000) } }));
    }
  });
});
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

/** A log that does not end, however much of it is read. */
async function* readLog(): AsyncGenerator<LogPart, void, void> {
  const entry = { time: '2026-11-25T12:00:00Z', channel: 'stdout', encoding: 'utf8', partial: false } as const;
  for (;;) yield { kind: 'entries', cursor: 'c1', entries: [{ ...entry, text: 'x'.repeat(60_000) }] };
}

/** A server whose streams are watched, and a client that asks for one and reads nothing. */
async function serve(unreadMs: number) {
  const { store } = bench;
  const { id, secret_hash, token } = makeToken();
  const person = { id, name: 'one', role: 'viewer', project_id: 'p1', secret_hash, created_by: 'init' } as const;
  const at = '2026-11-25T09:00:00.000Z';
  await store.write((tx) => tx.api_tokens.insert({ ...person, created_at: at, expires_at: null, revoked_at: null }));
  const bodies: Readable[] = [];
  const answer = Type.Unknown();
  const one = { method: 'GET', tag: 't', summary: 's', answer, allow: everybody } as const;
  const stream = (path: string, make: (signal: AbortSignal) => Readable) =>
    route({
      ...{ ...one, path },
      stream: async ({ signal }) => {
        const body = make(signal);
        return { contentType: 'text/event-stream', body };
      },
    });
  const about = (subject_id: string) => (signal: AbortSignal) =>
    eventStream({ store, signal, after: 0, only: { subject_id } }).body;
  const routes = [
    ...observationRoutes({
      store,
      logs: { readLog },
      answers: new LogAnswers(),
      metrics: bench.metrics,
      clock: systemClock,
    }),
    ...[stream('/events', about('loud')), stream('/quiet', about('quiet'))],
    route({ ...one, path: '/page', read: async () => 'x'.repeat(20_000_000) }),
  ].map((each) => watched(each, bodies));
  const http = createHttpServer({
    ...{ store, routes, log: createLog({ level: 'silent' }), now: () => Date.parse(at), metrics: createMetrics() },
    ...{ hostNames: [], limits: unlimited(), patience: { ...patient, unreadMs } },
  });
  const { port } = await http.listen('127.0.0.1', 0);
  undo.push(() => http.close());
  return {
    bodies,
    /** Our side of the connection of somebody who asks and reads nothing. */
    ask: async (path: string) => {
      const accepted = once(http.server, 'connection') as Promise<[Socket]>;
      const socket = connect({ host: '127.0.0.1', port }).on('error', () => undefined);
      undo.push(() => socket.destroy());
      socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`);
      const [ours] = await accepted;
      return { socket, ours };
    },
    revoke: () =>
      store.write(async (tx) => {
        const known = await tx.api_tokens.get(id);
        if (known) await tx.api_tokens.put({ ...known, revoked_at: at });
      }),
  };
}

function watched(each: ReturnType<typeof route>, bodies: Readable[]): ReturnType<typeof route> {
  const { stream } = each;
  if (!stream) return each;
  return {
    ...each,
    stream: async (asked) => {
      const streamed = await stream(asked);
      bodies.push(streamed.body);
      return streamed;
    },
  };
}

describe('a token that is taken back', () => {
  it.each(['events', 'logs'] as const)('ends a stream of %s whose client reads nothing', async (what) => {
    const { ask, bodies, revoke } = await serve(60_000);
    const { ours } = await ask(paths[what]);
    await until(() => bodies[0]?.isPaused() === true && ours.writableLength > 0);

    await revoke();

    await until(() => ours.destroyed && bodies[0]?.closed === true);
  });
});

describe('a client that takes nothing', () => {
  it.each(['events', 'logs', 'page'] as const)('of %s is dropped after a while', async (what) => {
    const { ask, bodies } = await serve(50);
    const { ours } = await ask(paths[what]);

    await until(() => ours.destroyed && bodies.every(({ closed }) => closed));
  });

  it('of a stream about which nothing happens is not: there is nothing to take', async () => {
    const { ask, bodies } = await serve(50);
    const quiet = await ask(paths.quiet);
    let timeouts = 0;
    quiet.ours.on('timeout', () => {
      timeouts += 1;
    });
    await until(() => timeouts > 0);
    await bench.store.write((tx) => tx.events.append(anEvent({ subject: { kind: 'project', id: 'quiet' } })));

    let said = '';
    for await (const piece of quiet.socket) {
      said += piece;
      if (said.includes('project.created')) break;
    }

    expect(bodies[0]?.closed).toBe(false);
  });
});

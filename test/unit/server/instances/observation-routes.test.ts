import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../src/kit/clock.ts';
import type { LogPart, LogRequest } from '../../../../src/server/hub/log-relay.ts';
import { LogAnswers } from '../../../../src/server/instances/log-answers.ts';
import { MetricsBoard } from '../../../../src/server/instances/metrics-board.ts';
import { observationRoutes } from '../../../../src/server/instances/observation-routes.ts';
import { type LaunchBench, launchBench } from '../../../support/launch-bench.ts';

const entry = {
  time: '2026-11-25T12:00:00Z',
  channel: 'stdout',
  text: 'hello',
  encoding: 'utf8',
  partial: false,
} as const;
const parts: readonly LogPart[] = [
  { kind: 'entries', cursor: 'c1', entries: [entry] },
  { kind: 'gap', dropped: 3 },
  { kind: 'end', failure: null },
];

/** What a reader of logs gets, and what was asked of the node. */
async function readLogs(bench: LaunchBench, query: object, headers: Record<string, string> = {}, projectId = 'p1') {
  const requests: LogRequest[] = [];
  async function* readLog(_nodeId: string, request: LogRequest): AsyncGenerator<LogPart, void, void> {
    requests.push(request);
    yield* parts;
  }
  const [instance] = await bench.store.read((tx) => tx.app_instances.list());
  const routes = observationRoutes({
    ...{ store: bench.store, logs: { readLog }, answers: new LogAnswers() },
    ...{ metrics: new MetricsBoard(), clock: systemClock },
  });
  const who = { tokenId: 't1', role: 'viewer', projectId, actor: 'token:t1', sessionId: null } as const;
  const streamed = await routes
    .find(({ path }) => path.endsWith('/logs'))
    ?.stream?.({
      ...{ params: { instance_id: instance?.id }, query, body: undefined, who, headers, correlationId: 'c', now: 0 },
      signal: new AbortController().signal,
    });
  let text = '';
  for await (const piece of streamed?.body ?? []) text += piece;
  return { text, requests, instance };
}

describe('GET /api/v1/app-instances/{id}/logs', () => {
  it('hands entries, gaps and the end on as server-sent events whose id is a cursor (G-127)', async () => {
    const bench = await launchBench();
    await bench.running();

    const { text, requests, instance } = await readLogs(bench, { tail: 10 });

    expect(text).toBe(
      [
        ': connected\n\n',
        `id: c1\nevent: entries\ndata: ${JSON.stringify([entry])}\n\n`,
        'event: gap\ndata: {"dropped":3}\n\n',
        'event: end\ndata: {"failure":null}\n\n',
      ].join(''),
    );
    expect(requests).toEqual([
      { source: { kind: 'instance', id: instance?.id }, cursor: null, tail: 10, follow: false },
    ]);
  });

  it('goes on behind the last entry that a client saw', async () => {
    const bench = await launchBench();
    await bench.running();

    expect((await readLogs(bench, { cursor: 'c0' })).requests[0]?.cursor).toBe('c0');
    expect((await readLogs(bench, { cursor: 'c0' }, { 'last-event-id': 'c1' })).requests[0]?.cursor).toBe('c1');
  });

  it('reads the log of a task of the instance, and of no other', async () => {
    const bench = await launchBench();
    const { current_task_id: task_id } = await bench.launch();

    expect((await readLogs(bench, { task_id })).requests[0]?.source).toEqual({ kind: 'task', id: task_id });
    await expect(readLogs(bench, { task_id: 'other' })).rejects.toMatchObject({ code: 'resource.not_found' });
  });

  it('reads one service of a stack', async () => {
    const bench = await launchBench();
    await bench.running();

    const { requests, instance } = await readLogs(bench, { service: 'web' });

    expect(requests[0]?.source).toEqual({ kind: 'service', id: instance?.id, service: 'web' });
  });

  it('ends where the service that is followed has ended for good, while its instance runs on', async () => {
    const bench = await launchBench();
    await bench.running();
    await bench.store.write(async (tx) => {
      const [instance] = await tx.app_instances.list();
      const members = instance?.members.map((member) => ({ ...member, name: 'init', state: 'stopped' as const }));
      if (instance && members) await tx.app_instances.put({ ...instance, members });
    });

    const { text, requests } = await readLogs(bench, { service: 'init', follow: true });

    expect(requests).toHaveLength(1);
    expect(text).toContain('event: end');
  });

  it('tells another project nothing', async () => {
    const bench = await launchBench();
    await bench.running();

    await expect(readLogs(bench, {}, {}, 'p2')).rejects.toMatchObject({ code: 'resource.not_found' });
  });
});

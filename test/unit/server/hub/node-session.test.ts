import { expect, it } from 'vitest';
import type { Connection } from '../../../../src/server/hub/connection.ts';
import { NodeSession, type SessionParts } from '../../../../src/server/hub/node-session.ts';

it('stays deaf behind a disk that is slow, whatever came with the confirmation', async () => {
  const calls: string[] = [];
  const gone = new AbortController();
  const connection = {
    ...{ pause: () => calls.push('pause'), resume: () => calls.push('resume'), send: () => undefined },
    ...{ gone: gone.signal, keepsUp: true },
  } as unknown as Connection;
  const node = { id: 'node-1', status: 'enrolled', epoch_offered: 1 };
  const tx = { nodes: { get: async () => node, put: async () => undefined } };
  const kept = Promise.withResolvers<never>();
  let writes = 0;
  const parts = {
    store: {
      // The confirmation is kept at once, records are not kept before the test is over.
      write: (work: (tx: unknown) => unknown) => (writes++ === 0 ? work(tx) : kept.promise),
      read: async () => [],
    },
    ...{ sink: { nodeBack: async () => undefined }, relay: { attach: () => undefined } },
  } as unknown as SessionParts;
  const session = new NodeSession(parts, connection, 'node-1', { epoch: 1, task_keys: [] });

  session.onMessage({ type: 'confirm', epoch: 1 });
  for (let seq = 1; seq <= 100; seq += 1) {
    session.onMessage({ type: 'record', journal_id: 'j', seq, kind: 'event', at: '2026-11-25T10:00:00Z', body: {} });
  }
  await expect.poll(() => session.confirmed).toBe(true);

  expect(calls).toEqual(['pause', 'resume', 'pause']);
});

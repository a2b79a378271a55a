/** The chain of receipts that a node signs, in its journal. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openIdentityKey } from '../../../src/agent/identity/identity-key.ts';
import { openJournal } from '../../../src/agent/journal/open-journal.ts';
import { openReceipts } from '../../../src/agent/sign-receipts.ts';
import type { ReceiptFacts } from '../../../src/contract/job-receipt.ts';
import { judgeReceipts } from '../../../src/policy/job-receipts.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const root = temporaryFolder('sign-receipts');

it('signs each task once, the next behind the one before, over restarts and a rotation of its keys', () => {
  const [old, next] = [openIdentityKey(join(root, 'old')), openIdentityKey(join(root, 'next'))];
  const sign = (task: string, key = old, state: ReceiptFacts['state'] = 'succeeded') => {
    const journal = openJournal({ stateDir: join(root, 'node') });
    const receipt = openReceipts({ nodeId: 'node-1', key: () => key, journal }).sign(facts(task, state));
    journal.close();
    return receipt ?? '';
  };

  const first = sign('task-1');
  const second = sign('task-2');
  // Whoever takes up a job that has ended asks again, and knows less by then.
  const again = sign('task-1', next, 'failed');
  const third = sign('task-3', next);

  const keys = [
    { key: old.publicJwk, until: '2026-01-01T00:00:00Z' },
    { key: next.publicJwk, until: null },
  ];
  const verdicts = judgeReceipts(
    [first, second, third].map((jws, place) => ({ file: `r${place + 1}`, jws })),
    [{ node_id: 'node-1', keys }],
    { gaps: false },
  );
  expect(again).toBe(first);
  expect(verdicts.map(({ receipt, refusal }) => [receipt?.number, receipt?.task_id, receipt?.state, refusal])).toEqual([
    [1, 'task-1', 'succeeded', null],
    [2, 'task-2', 'succeeded', null],
    [3, 'task-3', 'succeeded', null],
  ]);
});

it('has no link in its chain that was not signed', () => {
  const journal = openJournal({ stateDir: join(root, 'broken') });
  const key = openIdentityKey(join(root, 'broken'));
  const broken = openReceipts({
    ...{ nodeId: 'node-1', journal },
    key: () => {
      throw new Error('the key is not there');
    },
  });

  expect(() => broken.sign(facts('task-1'))).toThrow('the key is not there');
  const receipt = openReceipts({ nodeId: 'node-1', key: () => key, journal }).sign(facts('task-2')) ?? '';
  journal.close();

  const keys = [{ node_id: 'node-1', keys: [{ key: key.publicJwk, until: null }] }];
  expect(judgeReceipts([{ file: 'r', jws: receipt }], keys, { gaps: false })).toMatchObject([
    { refusal: null, receipt: { number: 1, previous: null } },
  ]);
});

function facts(task: string, state: ReceiptFacts['state'] = 'succeeded'): ReceiptFacts {
  return {
    ...{ job_id: `job-of-${task}`, project_id: 'p1', allocation_id: 'al-1', task_id: task, attempt: 1, state },
    ...{ plan_sha256: '1'.repeat(64), document_sha256: '2'.repeat(64), images: [], inputs: [], steps: [], outputs: [] },
    ...{ started_at: null, ended_at: '2026-01-01T00:00:00Z' },
  };
}

import { describe, expect, it } from 'vitest';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import { partsOf } from '../../../src/jobs/parts.ts';
import { readOnlyHint } from '../../../src/jobs/read-only-hint.ts';
import { endOf, endTime } from '../../../src/jobs/step-end.ts';
import { plan, step, stepRecord } from '../../support/job-plans.ts';

it.each([
  ['its end', '2026-11-26T22:50:36.31Z', '2026-11-26T22:50:36.314482663Z', '2026-11-26T22:50:36.314482663Z'],
  [
    'its start, noted after it',
    '2026-11-26T22:50:36.314482663Z',
    '2026-11-26T22:50:36.31Z',
    '2026-11-26T22:50:36.314482663Z',
  ],
  ['its end, where it was never started', null, '2026-11-26T22:50:36.31Z', '2026-11-26T22:50:36.31Z'],
])('the end of a container that was over at once is %s', (_what, started_at, finished, expected) => {
  expect(endTime({ started_at }, finished)).toBe(expected);
});

describe('a step whose root is read-only', () => {
  const values = { TMPDIR: '/s', SCRATCH_DIR: '/s', OTHER: '/elsewhere' };
  const mounts = [
    ...[
      { volume: 'artifacts', path: '/a', read_only: false },
      { volume: 'scratch', path: '/s', read_only: false },
    ],
    { volume: 'payload', path: '/p', read_only: true },
  ];
  const [part] = partsOf(plan({ steps: [step('train', { mounts, env: { values, merge: [] } })] }));
  if (!part) throw new Error('the plan has no part');
  const told = (excerpt: string, over: Partial<JobPlan> = {}, of = part) =>
    readOnlyHint(plan({ read_only_root: true, ...over }), of, excerpt);

  it.each([
    "touch: cannot touch 'checkpoints/1': Read-only file system",
    "OSError: [Errno 30] Read-only file system: 'checkpoints'",
    "Error: EROFS: read-only file system, open '/app/x'",
  ])('is told where it can write after %j (C-81)', (line) => {
    expect(told(`epoch 1\n${line}\nbye`)).toBe(
      'Its log says that a write to a read-only file system was refused: train can write only to /a, /s ($TMPDIR, $SCRATCH_DIR).',
    );
  });

  it('can have no such place', () => {
    expect(told('EROFS', {}, { ...part, mounts: [] })).toMatch(/train can write nowhere\.$/);
  });

  it('is told nothing where its log does not say that, or its root can be written to', () => {
    expect(told('Permission denied: zEROFSz')).toBeUndefined();
    expect(told('EROFS', { read_only_root: false })).toBeUndefined();
  });

  it('has failed with that advice, in the message and in the detail', () => {
    const record = stepRecord('train', 'running', { exit_code: 1 });

    const { failure } = endOf(part, record, { excerpt: 'EROFS', advice: 'Write elsewhere.' });

    expect(failure).toMatchObject({ code: 'step.failed', detail: { advice: 'Write elsewhere.' } });
    expect(failure?.message).toMatch(/train ended with 1\. Write elsewhere\.$/);
  });
});

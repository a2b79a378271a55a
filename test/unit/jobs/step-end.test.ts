import { describe, expect, it } from 'vitest';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import { partsOf } from '../../../src/jobs/parts.ts';
import { readOnlyHint } from '../../../src/jobs/read-only-hint.ts';
import { endOf, endTime, mayRestart, restartsSoFar } from '../../../src/jobs/step-end.ts';
import { plan, service, step, stepRecord } from '../../support/job-plans.ts';

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

  it.each([
    "PermissionError: [Errno 13] Permission denied: 'checkpoints'",
    "mkdir: can't create directory 'checkpoints': Permission denied",
    "Error: EACCES: permission denied, mkdir 'checkpoints'",
  ])('is told under gVisor that it may be that after %j (C-81)', (line) => {
    expect(told(line, { sandbox: 'gvisor' })).toBe(
      'Its log says that something was denied, which may be a write to its read-only root: train can write only to /a, /s ($TMPDIR, $SCRATCH_DIR).',
    );
    expect(told(line, { sandbox: 'gvisor', read_only_root: false })).toBeUndefined();
    expect(told(line)).toBeUndefined();
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

describe('a restart', () => {
  const at = (second: number) => new Date(Date.UTC(2026, 10, 27, 1, 0, second)).toISOString();
  const [db, one] = partsOf(
    plan({ services: [{ ...service('db'), healthcheck: { command: ['true'] } }], steps: [step('one')] }),
  );
  if (!db || !one) throw new Error('a plan without parts');
  const ran = (ready: boolean) =>
    stepRecord('db', 'running', { ready, attempts: 9, retries: 4, run_started_at: at(0) });

  it.each([
    ['short and well', db, true, 59, 4],
    ['long and well', db, true, 60, 0],
    ['long and not well', db, false, 600, 4],
    ['long, of a step', one, true, 600, 8],
  ])('is counted in a row, and anew after a run of a service that was %s', (_what, part, ready, seconds, count) => {
    expect(restartsSoFar(part, ran(ready), { finishedAt: at(seconds) })).toBe(count);
  });

  it.each([
    ['no', 1, null, false],
    ['on_failure', 0, null, false],
    ['on_failure', 1, null, true],
    ['always', 0, null, true],
    ['always', 143, 'served', false],
    ['no', 143, 'unhealthy', false],
    ['on_failure', 0, 'unhealthy', true],
    ['always', 143, 'unhealthy', true],
  ] as const)('under %s after exit %i, ended as %s: %s', (policy, exit_code, ending, expected) => {
    const part = { ...db, restart: { policy, max_retries: 5 } };
    const record = stepRecord('db', 'running', { exit_code, ending });

    expect(mayRestart(part, record, 4)).toBe(expected);
    expect(mayRestart(part, record, 5)).toBe(false);
  });
});

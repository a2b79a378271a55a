import { describe, expect, it } from 'vitest';
import { AgentError, type FailureCode } from '../../../../src/contract/failures.ts';
import type { Job } from '../../../../src/server/db/entities/job.ts';
import { isBegunAgain } from '../../../../src/server/jobs/job-retries.ts';

const attempt = {
  ...{ number: 1, allocation_id: 'a-1', node_id: 'n-1', task_id: 't-1', state: 'failed' as const, failure: null },
  resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 1 },
  ...{ begun: true, dispatched_at: '2026-11-27T10:00:00Z', ended_at: '2026-11-27T10:00:01Z' },
};
const jobOf = (attempts: number, retries: number): Parameters<typeof isBegunAgain>[0] => ({
  attempts: Array.from({ length: attempts }, (_, index) => ({ ...attempt, number: index + 1 })),
  options: { retries } as Job['options'],
  cancelled_at: null,
});
const failed = (code: FailureCode, detail = {}) => new AgentError(code, detail).toFailure();

describe('a job with retries', () => {
  it.each(['SIGKILL', 'SIGTERM'])('is begun again where its step was ended by %s (C-70)', (signal) => {
    expect(isBegunAgain(jobOf(1, 1), failed('step.failed', { signal, exit_code: null }))).toBe(true);
  });

  it.each([
    ['an exit of its own', failed('step.failed', { signal: null, exit_code: 1 })],
    ['a fault of its own', failed('step.failed', { signal: 'SIGSEGV', exit_code: null })],
    ['its memory', failed('container.oom_killed', { signal: 'SIGKILL', exit_code: null })],
    ['its time', failed('step.timed_out', { signal: 'SIGKILL', exit_code: null })],
  ])('is not begun again for %s', (_, failure) => {
    expect(isBegunAgain(jobOf(1, 1), failure)).toBe(false);
  });

  it('is begun again as often as it may be', () => {
    const killed = failed('step.failed', { signal: 'SIGKILL' });

    expect([0, 1, 2].map((retries) => isBegunAgain(jobOf(2, retries), killed))).toEqual([false, false, true]);
    expect(isBegunAgain({ ...jobOf(1, 1), cancelled_at: '2026-11-27T10:00:00Z' }, killed)).toBe(false);
  });
});

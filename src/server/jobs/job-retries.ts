/** Whether, and when, a job that did not succeed is begun anew. Pure. */
import type { Failure, FailureCode } from '../../contract/failures.ts';
import type { Job } from '../db/entities/job.ts';

/** Failures that are none of the job's own, though the same task would fail again. */
const misfortunes: ReadonlySet<FailureCode> = new Set(['step.lost', 'task.expired', 'task.stale']);
/**
 * A step that was ended by one of these, without having used more memory than it may, or having been told to end, was ended from
 * outside: its host goes down, somebody or the kernel has killed it. The exit status of a program that kills itself reads the same.
 */
const kills: readonly unknown[] = ['SIGKILL', 'SIGTERM'];
/**
 * In all, also of those that hosts have refused before anything of the job had begun. A host that refuses one for what it lacks tells
 * of that, and is given no other then: so many refusals come of hosts whose words and deeds are not the same.
 */
const maxAttempts = 20;

/** `job` with the attempt that has just failed. Where its host never began, that is no retry of those it may have. */
export function isBegunAgain(
  { attempts, options, cancelled_at }: Pick<Job, 'attempts' | 'options' | 'cancelled_at'>,
  failure: Failure | null,
): boolean {
  if (failure === null || cancelled_at !== null || attempts.length >= maxAttempts) return false;
  if (!failure.retryable && !misfortunes.has(failure.code) && !isKill(failure)) return false;
  return attempts.at(-1)?.begun !== true || attempts.filter(({ begun }) => begun).length <= options.retries;
}

function isKill({ code, detail }: Failure): boolean {
  return code === 'step.failed' && kills.includes(detail['signal']);
}

/** Milliseconds since 1970 before which it is not begun anew: 2 seconds behind the first attempt, at most five minutes. */
export function notBefore({ attempts }: Pick<Job, 'attempts'>): number {
  const ended = attempts.at(-1)?.ended_at;
  return ended ? Date.parse(ended) + Math.min(300_000, 1000 * 2 ** attempts.length) : 0;
}

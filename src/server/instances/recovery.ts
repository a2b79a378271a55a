/**
 * What can be done about a failure, in four classes, so that a page or a program can offer the right thing:
 *
 *   retryable     the same may succeed later, unchanged: `restart` tries it again, also a launch
 *   drift         what is on the host is not what was asked for; `restart` puts it right
 *   repairable    the request, the image or the values have to be corrected
 *   intervention  a person has to look at the host or the platform first
 */
import { type FailureCode, type FailureKind, failures } from '../../contract/failures.ts';

export const recoveries = ['retryable', 'drift', 'repairable', 'intervention'] as const;
export type Recovery = (typeof recoveries)[number];

const byKind: Readonly<Record<FailureKind, Recovery>> = {
  invalid: 'repairable',
  denied: 'intervention',
  conflict: 'repairable',
  exhausted: 'repairable',
  unavailable: 'intervention',
  cancelled: 'repairable',
  timed_out: 'repairable',
  internal: 'intervention',
};

const drift: ReadonlySet<FailureCode> = new Set([
  ...(['container.exited', 'container.oom_killed', 'container.not_found', 'gpu.unhealthy', 'task.stale'] as const),
]);

export function recoveryOf(code: FailureCode): Recovery {
  if (drift.has(code)) return 'drift';
  return failures[code].retryable ? 'retryable' : byKind[failures[code].kind];
}

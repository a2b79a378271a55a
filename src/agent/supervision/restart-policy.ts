/**
 * Decides whether an ended workload is started again, and after how long. Pure.
 *
 *   no          never
 *   on_failure  after an end that was not 0, or one that the kernel brought about for memory
 *   always      after every end
 *
 * Each but the first of a row of restarts waits longer. A workload that then runs for a while has recovered: the row
 * begins anew. After `max_retries` in a row it is left as it is, so that one that always crashes costs nothing.
 */
import { labels } from '../../contract/names.ts';
import { judge } from '../../contract/validate.ts';
import { RestartPolicy } from '../../contract/workload-oci-launch.ts';
import { type Backoff, backoffDelay } from '../../kit/backoff.ts';
import type { KeptWorkload } from '../journal/journal.ts';

export interface ContainerEnd {
  /** Null where the engine does not know it. */
  readonly exitCode: number | null;
  readonly oomKilled: boolean;
}

export type RestartDecision =
  | { readonly restart: true; readonly delayMs: number }
  | { readonly restart: false; readonly because: 'policy' | 'exhausted' };

const backoff: Backoff = { firstMs: 1000, maxMs: 300_000, factor: 2 };
/** How long a workload has to run before earlier restarts are forgotten. */
export const stableMs = 600_000;

/** `streak`: restarts in a row so far, without the one that is asked about. */
export function decideRestart(
  { policy, max_retries }: RestartPolicy,
  end: ContainerEnd,
  streak: number,
  random: () => number = Math.random,
): RestartDecision {
  if (policy === 'no' || (policy === 'on_failure' && endedWell(end))) {
    return { restart: false, because: 'policy' };
  }
  if (streak >= max_retries) {
    return { restart: false, because: 'exhausted' };
  }
  return { restart: true, delayMs: backoffDelay(backoff, streak + 1, random) };
}

/** As its launch said, or, where the journal was lost, as its container says; never where nobody says anything. */
export function restartOf({
  params,
  stack,
  restart,
}: Pick<KeptWorkload, 'params' | 'stack' | 'restart'>): RestartPolicy {
  return params?.restart ?? stack?.params?.restart ?? restart ?? never;
}

/** From the label that the launch left on the container; sealed, so that nobody but the gate has written it. */
export function restartFromLabels(found: Readonly<Record<string, string>>): RestartPolicy {
  const [policy, retries = ''] = found[labels.restart]?.split(':') ?? [];
  const judged = judge(RestartPolicy, { policy, max_retries: Number(retries) });
  return judged.ok ? judged.value : never;
}

const never: RestartPolicy = { policy: 'no', max_retries: 0 };

/** By itself, with 0. */
export function endedWell({ exitCode, oomKilled }: ContainerEnd): boolean {
  return exitCode === 0 && !oomKilled;
}

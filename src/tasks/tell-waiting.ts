/**
 * Tells what a workload that takes long to get ready is waiting for: a model server may load for half an hour.
 *
 * One event `readiness.waiting` after 30 seconds, then about each minute, later every five: what every check that has not
 * passed saw last, and how long of how long. What is ready sooner says nothing.
 */
import type { ReadinessCheck } from '../contract/workload-oci-launch.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { placeOf, type ReadinessAttempt } from '../runtime/probes/until-ready.ts';
import type { TaskContext } from './task-context.ts';

const firstMs = 30_000;
const usualMs = 60_000;
const longestMs = 5 * 60_000;

/** Called after each attempt; `service` where the workload is a stack. */
export type NoteAttempt = (attempt: ReadinessAttempt, service?: string) => void;

/** Does the work, and tells of it until it has ended. */
export async function tellWaiting<T>(
  context: Pick<TaskContext, 'emit' | 'log'>,
  work: (note: NoteAttempt) => Promise<T>,
  clock: Clock = systemClock,
): Promise<T> {
  const failing: Failing = new Map();
  const over = new AbortController();
  const telling = tellAgainAndAgain(failing, context, clock, over.signal).catch((error: unknown) => {
    if (!over.signal.aborted) {
      context.log.warn({ err: error }, 'what is waited for could not be told');
    }
  });
  try {
    return await work(({ check, ready, answer }, service) => {
      const what = [service === undefined ? '' : `${service}:`, kinds[check.type], ...Object.values(placeOf(check))];
      const name = what.filter((word) => word !== '').join(' ');
      if (ready) {
        failing.delete(name);
      } else {
        failing.set(name, { answer: words[answer] ?? answer, timeoutSeconds: check.timeout_seconds });
      }
    });
  } finally {
    over.abort();
    await telling;
  }
}

/** By the name of the check. */
type Failing = Map<string, { readonly answer: string; readonly timeoutSeconds: number }>;

const kinds: Readonly<Record<ReadinessCheck['type'], string>> = {
  ...{ http: 'http', tcp: 'tcp', exec: 'command', container_health: 'health check' },
};

/** What some answers mean to people who wait. */
const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there yet',
  ECONNRESET: 'nothing answers there yet',
  'closed at once': 'nothing listens there yet',
  'HTTP 401': 'HTTP 401: it wants to know who asks',
  'HTTP 503': 'HTTP 503: not ready, as it says itself',
};

/** Rejects with the signal's reason, or where an event cannot be told. */
async function tellAgainAndAgain(
  failing: Failing,
  { emit }: Pick<TaskContext, 'emit'>,
  clock: Clock,
  signal: AbortSignal,
): Promise<never> {
  const begun = clock.monotonicMs();
  for (let next = firstMs; ; ) {
    await clock.pause(next, signal);
    signal.throwIfAborted();
    const waitedMs = Math.round(clock.monotonicMs() - begun);
    const seen = [...failing].map(([name, { answer }]) => `${name}: ${answer}`);
    // The check that runs out first decides.
    const timeoutSeconds = Math.min(...[...failing.values()].map((each) => each.timeoutSeconds));
    const limit = failing.size === 0 ? '' : ` of at most ${lengthOf(timeoutSeconds)}`;
    emit(
      'readiness.waiting',
      `Not ready yet after ${lengthOf(waitedMs / 1000)}${limit}. ${seen.join('; ') || 'No check has ended yet'}.`,
      { seen, duration_ms: waitedMs, ...(failing.size === 0 ? {} : { timeout_seconds: timeoutSeconds }) },
    );
    next = Math.min(longestMs, Math.max(usualMs, waitedMs / 4));
  }
}

function lengthOf(seconds: number): string {
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

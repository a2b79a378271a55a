/** Capped exponential backoff with jitter over half or all of each step, and a wait that can be aborted. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly factor: number;
}

/** Milliseconds before attempt number `attempt` (the first retry is 1): anything from half the step to the whole. */
export function backoffDelay(backoff: Backoff, attempt: number, random = Math.random): number {
  const step = stepOf(backoff, attempt);
  return Math.round(step / 2 + (step / 2) * random());
}

/** The same with anything from nothing to the whole step: for many who would otherwise come back together. */
export function fullJitterDelay(backoff: Backoff, attempt: number, random = Math.random): number {
  return Math.round(stepOf(backoff, attempt) * random());
}

function stepOf({ firstMs, maxMs, factor }: Backoff, attempt: number): number {
  return Math.min(maxMs, firstMs * factor ** (attempt - 1));
}

/** Resolves after `ms`, or rejects with the signal's reason as soon as it is aborted. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  try {
    await sleep(ms, undefined, signal ? { signal } : {});
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** Capped exponential backoff with jitter over half of each step, and a wait that can be aborted. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly factor: number;
}

/** Milliseconds before attempt number `attempt` (the first retry is 1): anything from half the step to the whole. */
export function backoffDelay({ firstMs, maxMs, factor }: Backoff, attempt: number, random = Math.random): number {
  const step = Math.min(maxMs, firstMs * factor ** (attempt - 1));
  return Math.round(step / 2 + (step / 2) * random());
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

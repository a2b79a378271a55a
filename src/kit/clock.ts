/**
 * Time, handed in where logic depends on it, so that a test decides when it passes.
 *
 * Lengths are measured on a clock that only goes forward: somebody who sets the host's clock makes nothing expire.
 */
import { pause } from './backoff.ts';

export interface Clock {
  /** What the host believes the time is, in milliseconds since 1970. For what people read, never for lengths. */
  wallMs(): number;
  /** Milliseconds since some moment; goes forward only. */
  monotonicMs(): number;
  /** Resolves after `ms`, or rejects with the signal's reason as soon as it is aborted. */
  pause(ms: number, signal?: AbortSignal): Promise<void>;
}

/**
 * The time of day as the clock has it now, continued by the monotonic clock, in milliseconds since 1970: what is valid until
 * a time of this does not expire because somebody sets the host's clock.
 */
export function steadyTime(clock: Clock): () => number {
  const origin = clock.wallMs() - clock.monotonicMs();
  return () => Math.floor(origin + clock.monotonicMs());
}

export const systemClock: Clock = {
  wallMs: Date.now,
  monotonicMs: () => performance.now(),
  pause,
};

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

export const systemClock: Clock = {
  wallMs: Date.now,
  monotonicMs: () => performance.now(),
  pause,
};

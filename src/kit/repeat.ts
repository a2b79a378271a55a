/** Does something again and again, with a pause between two times, until it is told to stop. */
import type { Clock } from './clock.ts';

export interface Repetition {
  readonly everyMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What goes wrong once does not end it. */
  readonly onError: (error: unknown) => void;
}

/** The first time is at once. Resolves when the signal is aborted and the work is over; never rejects. */
export async function repeat(work: () => Promise<void> | void, repetition: Repetition): Promise<void> {
  const { everyMs, clock, signal, onError } = repetition;
  while (!signal.aborted) {
    try {
      await work();
    } catch (error) {
      if (!signal.aborted) {
        onError(error);
      }
    }
    await clock.pause(everyMs, signal).catch(() => undefined);
  }
}

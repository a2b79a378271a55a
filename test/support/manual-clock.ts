/** A clock that stands still until a test moves it. */
import type { Clock } from '../../src/kit/clock.ts';

export interface ManualClock extends Clock {
  /** Moves both clocks on and wakes whoever waited for it, in the order of their times. */
  advance(ms: number): Promise<void>;
  /** Pauses that wait now, as milliseconds from now, shortest first. */
  waiting(): number[];
  /** Sets the wall clock alone, as an operator or NTP does. */
  setWall(ms: number): void;
}

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

export function manualClock(start = Date.parse('2026-11-25T12:00:00Z')): ManualClock {
  let wall = start;
  let now = 0;
  const sleepers = new Set<Sleeper>();

  return {
    wallMs: () => wall,
    monotonicMs: () => now,
    pause: async (ms, signal) => {
      signal?.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const sleeper = { at: now + ms, wake: resolve };
      const leave = () => reject(signal?.reason);
      sleepers.add(sleeper);
      signal?.addEventListener('abort', leave, { once: true });
      try {
        await promise;
      } finally {
        sleepers.delete(sleeper);
        signal?.removeEventListener('abort', leave);
      }
    },
    advance: async (ms) => {
      const until = now + ms;
      for (;;) {
        await settle();
        const next = [...sleepers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
        if (!next) {
          break;
        }
        wall += next.at - now;
        now = next.at;
        sleepers.delete(next);
        next.wake();
      }
      wall += until - now;
      now = until;
    },
    waiting: () => [...sleepers].map(({ at }) => at - now).sort((a, b) => a - b),
    setWall: (ms) => {
      wall = ms;
    },
  };
}

/** Lets everything that is ready to go on do so. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Other waits for `node:timers/promises`, for all who import it, while the tests of a file run. */
import timers from 'node:timers/promises';
import { replaceBuiltin } from './replace-builtin.ts';

/** On the global timers, so that `vi.useFakeTimers()` rules them as well. */
export function waitOnGlobalTimers(): void {
  replaceBuiltin(timers, {
    setTimeout: (ms, value, { signal } = {}) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => resolve(value as never), ms);
        signal?.addEventListener('abort', () => {
          clearTimeout(timer);
          reject(signal.reason);
        });
      }),
  });
}

/** Over with the next turn of the loop. */
export function waitForNothing(): void {
  replaceBuiltin(timers, { setTimeout: (_ms, value) => timers.setImmediate(value as never) });
}

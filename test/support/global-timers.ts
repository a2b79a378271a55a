/**
 * `node:timers/promises` on the global timers, so that `vi.useFakeTimers()` rules it as well:
 *
 *   vi.mock('node:timers/promises', () => import('../../support/global-timers.ts'));
 */
function wait<T>(ms: number, value: T, { signal }: { signal?: AbortSignal } = {}): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms, value);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

export { wait as setTimeout };

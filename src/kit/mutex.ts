/** Runs work one after another per key, in the order it was asked for. A failure does not stop those behind it. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>();

  /**
   * Where the signal is aborted while the work waits, it runs at once, to say so itself: beside whoever is at work, so it
   * must do nothing else. Those behind it wait for both.
   */
  run<T>(key: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const result = (signal ? unlessAborted(before, signal) : before).then(work);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    const tail = before.then(() => settled);
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) {
        this.#tails.delete(key);
      }
    });
    return result;
  }
}

/** Resolves with the turn, or as soon as the signal is aborted. */
function unlessAborted(turn: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const leave = () => resolve();
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) {
    resolve();
  }
  return Promise.race([turn, promise]).finally(() => signal.removeEventListener('abort', leave));
}

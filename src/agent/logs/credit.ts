/** Credit that one side spends and the other gives. */
export class Credit {
  #left: number;
  #wake: (() => void) | undefined;

  constructor(first: number) {
    this.#left = first;
  }

  /** Below 0 after an entry that was larger than what was left. */
  get left(): number {
    return this.#left;
  }

  add(amount: number): void {
    this.#left += amount;
    if (this.#left > 0) {
      this.#wake?.();
    }
  }

  spend(amount: number): void {
    this.#left -= amount;
  }

  /** True as soon as there is some; false after `waitMs` without. Rejects with the signal's reason. One waits at a time. */
  async available(signal: AbortSignal, waitMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    signal.throwIfAborted();
    if (this.#left > 0) {
      return true;
    }
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const stop = () => reject(signal.reason);
    const timer = Number.isFinite(waitMs) ? setTimeout(resolve, waitMs, false) : undefined;
    signal.addEventListener('abort', stop, { once: true });
    this.#wake = () => resolve(true);
    try {
      return await promise;
    } finally {
      this.#wake = undefined;
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }
}

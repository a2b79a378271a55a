/** A limited number of places to work in, taken in the order they were asked for. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** True if work that is asked for now has to wait. */
  get isFull(): boolean {
    return this.#free === 0;
  }

  /** Runs the work as soon as there is a place. Where the signal is aborted first it runs at once, to say so itself. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const release = await this.#take(signal);
    try {
      return await work();
    } finally {
      release();
    }
  }

  async #take(signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) {
      return () => undefined;
    }
    if (this.#free > 0) {
      this.#free -= 1;
      return () => this.#release();
    }
    const { promise, resolve } = Promise.withResolvers<() => void>();
    const enter = () => resolve(() => this.#release());
    const leave = () => {
      const at = this.#waiting.indexOf(enter);
      // It has its place already.
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      resolve(() => undefined);
    };
    this.#waiting.push(enter);
    signal.addEventListener('abort', leave, { once: true });
    const release = await promise;
    signal.removeEventListener('abort', leave);
    return release;
  }

  /** Hands the place on without freeing it, so that nobody can come in between. */
  #release(): void {
    const next = this.#waiting.shift();
    if (next) {
      next();
    } else {
      this.#free += 1;
    }
  }
}

/** Values that one side pushes as they come and the other takes one by one. For one reader. */
export class AsyncQueue<T> {
  readonly #values: T[] = [];
  #ended = false;
  #error: { readonly cause: unknown } | undefined;
  #wake: (() => void) | undefined;

  push(value: T): void {
    this.#values.push(value);
    this.#wake?.();
  }

  /** Nothing more comes: the reader ends behind what is there already. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** As `end`, but the reader then fails with this. */
  fail(cause: unknown): void {
    this.#error = { cause };
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      for (let next = this.#values.splice(0, 1); next.length > 0; next = this.#values.splice(0, 1)) {
        yield next[0] as T;
      }
      if (this.#error) {
        throw this.#error.cause;
      }
      if (this.#ended) {
        return;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
    }
  }
}

/** Keeps the last characters of an endless text in bounded memory. */
export class TailBuffer {
  readonly #limit: number;
  #text = '';
  #dropped = false;

  /** `limit` is in characters. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  push(text: string): void {
    // Trimmed at twice the limit only, so that many small pushes do not copy the whole tail each time.
    this.#text += text;
    if (this.#text.length > this.#limit * 2) {
      this.#text = this.#text.slice(-this.#limit);
      this.#dropped = true;
    }
  }

  /** The tail; begins with `…` if something was dropped before it. */
  toString(): string {
    if (this.#text.length > this.#limit) {
      return `…${this.#text.slice(-this.#limit)}`;
    }
    return this.#dropped ? `…${this.#text}` : this.#text;
  }
}

/**
 * Whether a task is to be given up. One that had begun in an earlier life of the agent hears of it in its first phase: only
 * then has it found what it had made, and takes it away.
 */
export class Cancellation {
  readonly #controller = new AbortController();
  #early: boolean;
  #asked = false;

  constructor({ hadBegun }: { readonly hadBegun: boolean }) {
    this.#early = hadBegun;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  ask(): void {
    this.#asked = true;
    if (!this.#early) {
      this.#controller.abort(new Error('the task was cancelled'));
    }
  }

  /** The task has entered a phase. */
  begun(): void {
    this.#early = false;
    if (this.#asked) {
      this.ask();
    }
  }
}

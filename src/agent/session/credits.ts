/**
 * How many tasks the control plane may send, as both sides see it.
 *
 * Credits cross with tasks on their way, so each saying tells how many tasks had arrived: those sent beyond them have used
 * up credits already.
 */
interface Pull {
  readonly credits: number;
  readonly received: number;
}

/** Most that a message can say. */
const most = 1024;

export class Credits {
  readonly #say: (pull: Pull) => void;
  #said: Pull | undefined;
  #received = 0;
  /** The most tasks that may ever have been sent, by all that was said. */
  #allowed = 0;

  constructor(say: (pull: Pull) => void) {
    this.#say = say;
  }

  /** Says it where the control plane believes otherwise. */
  announce(credits: number): void {
    const wanted = Math.min(credits, most);
    if (this.#said && wanted === Math.max(0, this.#said.credits - (this.#received - this.#said.received))) {
      return;
    }
    this.#said = { credits: wanted, received: this.#received };
    this.#allowed = Math.max(this.#allowed, this.#received + wanted);
    this.#say(this.#said);
  }

  /** Counts a task that arrived; false if it could not have been sent by anything that was said. */
  use(): boolean {
    if (this.#received >= this.#allowed) {
      return false;
    }
    this.#received += 1;
    return true;
  }
}

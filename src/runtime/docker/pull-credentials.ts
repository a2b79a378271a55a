/**
 * Whose credential a shared pull goes by: that of the first who waits, and then that of the next where this one has gone,
 * its credential cannot be had, or the registry has refused it twice. A credential may have run out since it was given, so each
 * is asked for once more.
 */
import type { PullCredential, PullOptions } from '../engine.ts';
import type { PullFailure } from './pull-failure.ts';

const maxRefusals = 2;

export class PullCredentials {
  readonly #waiting: ReadonlySet<PullOptions>;
  readonly #refusals = new Map<PullOptions, number>();
  #giver: PullOptions | undefined;
  #notGiven = false;

  constructor(waiting: ReadonlySet<PullOptions>) {
    this.#waiting = waiting;
  }

  /** For the next attempt; undefined where it goes without one. Given up with the signal, and where its giver has gone. */
  async next(signal: AbortSignal): Promise<PullCredential | undefined> {
    this.#giver = this.#usable();
    this.#notGiven = false;
    if (!this.#giver?.credential) {
      return undefined;
    }
    try {
      return await this.#giver.credential(AbortSignal.any([signal, this.#giver.signal]));
    } catch (error) {
      this.#notGiven = true;
      throw error;
    }
  }

  /** True if the failure of the attempt was that of its credential, and there is another one to be tried. */
  mayGoOn({ code, retry }: PullFailure): boolean {
    const isLost = this.#notGiven && !retry;
    if (this.#giver === undefined || !(isLost || code === 'image.unauthorized')) {
      return false;
    }
    const before = this.#refusals.get(this.#giver) ?? 0;
    this.#refusals.set(this.#giver, isLost || !this.#giver.credential ? maxRefusals : before + 1);
    return this.#usable() !== undefined;
  }

  #usable(): PullOptions | undefined {
    return [...this.#waiting].find((each) => !each.signal.aborted && (this.#refusals.get(each) ?? 0) < maxRefusals);
  }
}

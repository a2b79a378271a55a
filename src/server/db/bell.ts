/** For whoever reads on when something has changed. */
import type { Clock } from '../../kit/clock.ts';
import type { Commit, Store } from './store.ts';

/** Rings when something was committed since the last reset that counts, also if nobody waited yet. */
export class Bell {
  #rang = Promise.withResolvers<true>();
  readonly #clock: Pick<Clock, 'pause'>;
  readonly stop: () => void;

  constructor(store: Store, clock: Pick<Clock, 'pause'>, counts: (commit: Commit) => boolean) {
    this.#clock = clock;
    this.stop = store.onCommit((commit) => {
      if (counts(commit)) this.#rang.resolve(true);
    });
  }

  reset(): void {
    this.#rang = Promise.withResolvers<true>();
  }

  /** False if it did not ring in time. */
  async rings(withinMs: number, signal: AbortSignal): Promise<boolean> {
    const enough = new AbortController();
    const late = this.#clock.pause(withinMs, AbortSignal.any([signal, enough.signal])).then(
      () => false,
      () => false,
    );
    const rang = await Promise.race([this.#rang.promise, late]);
    enough.abort();
    return rang;
  }
}

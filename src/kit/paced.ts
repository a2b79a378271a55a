/**
 * Tells at most one thing in an interval: the first at once, and of what came too soon the latest of each key, one an interval,
 * first what waits longest. So what lasts is told as it is.
 */
import type { Clock } from './clock.ts';

interface PacedOptions<T> {
  readonly everyMs: number;
  readonly clock: Clock;
  readonly tell: (value: T) => void;
  /** What `tell` has thrown, where nobody else would hear of it. */
  readonly onError: (error: unknown) => void;
}

export class Paced<T> {
  readonly #options: PacedOptions<T>;
  readonly #held = new Map<string, T>();
  /** Ends the wait for the end of the interval; undefined while none lasts. */
  #interval: AbortController | undefined;
  #closed = false;

  constructor(options: PacedOptions<T>) {
    this.#options = options;
  }

  push(key: string, value: T): void {
    if (this.#closed) return;
    if (this.#interval) this.#held.set(key, value);
    else this.#say(value);
  }

  /** What was held back is told no more. */
  drop(): void {
    this.#held.clear();
  }

  /** The same, nothing waits any more, and nothing is told from now on. */
  close(): void {
    this.#closed = true;
    this.drop();
    this.#interval?.abort();
    this.#interval = undefined;
  }

  #say(value: T): void {
    const { clock, everyMs, tell, onError } = this.#options;
    const interval = new AbortController();
    this.#interval = interval;
    clock.pause(everyMs, interval.signal).then(
      () => {
        try {
          this.#next(interval);
        } catch (error) {
          onError(error);
        }
      },
      () => undefined,
    );
    tell(value);
  }

  #next(interval: AbortController): void {
    if (this.#interval !== interval) return;
    this.#interval = undefined;
    const [first] = this.#held;
    if (!first) return;
    this.#held.delete(first[0]);
    this.#say(first[1]);
  }
}

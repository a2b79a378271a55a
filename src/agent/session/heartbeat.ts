/** Says that we live, and notices by the monotonic clock when the other side does not (FAULTS 3). */
import type { Clock } from '../../kit/clock.ts';

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
  beat(): void;
  /** False while nothing is read: then silence means nothing. */
  listens(): boolean;
  /** Nothing was heard for three intervals. */
  onSilence(): void;
}

/** Heartbeats that may be missing. */
const tolerated = 3;

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #heardAt: number;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#heardAt = options.clock.monotonicMs();
    void this.#run().catch(() => undefined);
  }

  heard(): void {
    this.#heardAt = this.#options.clock.monotonicMs();
  }

  /** Rejects with the reason of the signal. */
  async #run(): Promise<never> {
    const { clock, intervalMs, signal, beat, listens, onSilence } = this.#options;
    for (;;) {
      await clock.pause(intervalMs, signal);
      // A process that was stopped for a while wakes here first: what arrived meanwhile is to be read before it is missed.
      await new Promise<void>((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      if (!listens()) {
        this.heard();
      } else if (clock.monotonicMs() - this.#heardAt >= tolerated * intervalMs) {
        onSilence();
      }
      beat();
    }
  }
}

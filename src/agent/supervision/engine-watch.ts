/**
 * Keeps an ear on the engine: its event stream as a hint, a slow look at everything as the truth.
 *
 *   look at everything ──▶ listen to events, look again now and then ──┐
 *          ▲                                                           │ the stream is lost, or a call finds nobody
 *          └──────────────────────────── wait a little ◀───────────────┘
 *
 * An engine remembers no events over its own restart and says nothing at all while it hangs, so the look comes first
 * after every interruption, and the slow one notices silence (FAULTS 16, 17).
 */
import { type Backoff, backoffDelay } from '../../kit/backoff.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { ContainerEngine, EngineEvent } from '../../runtime/engine.ts';
import { isEngineAway } from '../../runtime/engine-away.ts';

export interface EngineWatchOptions {
  readonly engine: Pick<ContainerEngine, 'events'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Looks at everything; rejects where the engine is away. */
  readonly lookAtAll: (signal: AbortSignal) => Promise<void>;
  readonly onEvent: (event: EngineEvent) => void;
  /** Called once per absence, when it has lasted long enough to be one, with its cause. */
  readonly onAway: (error: unknown) => void;
  /** Called once after each `onAway`, when everything was looked at. */
  readonly onBack: () => void;
}

const slowLookMs = 60_000;
const backoff: Backoff = { firstMs: 250, maxMs: 5000, factor: 2 };
/** A gate or an engine that is restarted and back by then was never away. */
export const graceMs = 3000;

export class EngineWatch {
  readonly #options: EngineWatchOptions;
  #listening: AbortController | undefined;
  #failingSince: number | undefined;
  #away = false;

  constructor(options: EngineWatchOptions) {
    this.#options = options;
  }

  get away(): boolean {
    return this.#away;
  }

  /** For those whose call found nobody: everything is looked at anew, soon. */
  suspect(): void {
    this.#listening?.abort(new Error('a call found no engine'));
  }

  /** Resolves when the signal is aborted, never before, and never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (let attempt = 1; !signal.aborted; ) {
      // Taken before the look: what happens during it is told by the stream.
      const since = new Date(clock.wallMs()).toISOString();
      if (await this.#look(signal)) {
        attempt = 1;
        await this.#listen(since, signal);
      }
      await clock.pause(backoffDelay(backoff, attempt), signal).catch(() => undefined);
      attempt += 1;
    }
  }

  async #look(signal: AbortSignal): Promise<boolean> {
    const { lookAtAll, onBack, onAway, clock, log } = this.#options;
    try {
      await lookAtAll(signal);
    } catch (error) {
      if (signal.aborted) {
        return false;
      }
      if (!isEngineAway(error)) {
        log.error({ err: error }, 'look at all workloads failed');
        return false;
      }
      this.#failingSince ??= clock.monotonicMs();
      if (!this.#away && (clock.monotonicMs() - this.#failingSince >= graceMs || hung(error))) {
        this.#away = true;
        onAway(error);
      }
      return false;
    }
    this.#failingSince = undefined;
    if (this.#away) {
      this.#away = false;
      onBack();
    }
    return true;
  }

  /** Returns when the stream is lost, or when a look fails. */
  async #listen(since: string, signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    const listening = new AbortController();
    this.#listening = listening;
    const either = AbortSignal.any([signal, listening.signal]);
    const over = (error: unknown) => {
      if (!either.aborted) {
        log.warn({ err: error }, 'engine events interrupted');
      }
      listening.abort(error);
    };
    await Promise.all([this.#read(since, either).then(over, over), this.#lookSlowly(either).then(over, over)]);
  }

  async #read(since: string, signal: AbortSignal): Promise<void> {
    for await (const event of this.#options.engine.events({ since, signal })) {
      this.#options.onEvent(event);
    }
  }

  async #lookSlowly(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#options.clock.pause(slowLookMs, signal);
      await this.#options.lookAtAll(signal);
    }
  }
}

/** It took its time already. */
function hung(error: unknown): boolean {
  return (error as { code?: string }).code === 'engine.timed_out';
}

/** Reports what is on the host, whole, whenever it has changed: changes that come together are one report. */
import type { RecordBody } from '../../contract/records.ts';
import type { Clock } from '../../kit/clock.ts';

type TopologyBody = RecordBody<'topology'>;

export interface TopologyOptions {
  readonly clock: Clock;
  readonly workloads: () => TopologyBody['workloads'];
  readonly record: (body: TopologyBody) => void;
  /** How long more changes are waited for, in milliseconds. */
  readonly settleMs?: number;
}

export class TopologyReporter {
  readonly #options: TopologyOptions;
  readonly #stop = new AbortController();
  #waiting: Promise<void> | undefined;
  #reported = '';

  constructor(options: TopologyOptions) {
    this.#options = options;
  }

  /** Call it after anything that may have changed. Says nothing where nothing has. */
  changed(): void {
    this.#waiting ??= this.#settle().finally(() => {
      this.#waiting = undefined;
    });
  }

  /** Reports now, whether it has changed or not: for whoever has just connected, or lost what it knew. */
  report(): void {
    this.#reported = '';
    this.#tell();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #settle(): Promise<void> {
    const { clock, settleMs = 200 } = this.#options;
    try {
      await clock.pause(settleMs, this.#stop.signal);
    } catch (error) {
      if (this.#stop.signal.aborted) {
        return;
      }
      throw error;
    }
    this.#tell();
  }

  #tell(): void {
    const { workloads, clock, record } = this.#options;
    const now = workloads().toSorted((a, b) => (a.workload_id < b.workload_id ? -1 : 1));
    const text = JSON.stringify(now);
    if (text !== this.#reported) {
      record({ at: new Date(clock.wallMs()).toISOString(), workloads: now });
      // After the record is on disk: one that could not be written is tried again with the next change.
      this.#reported = text;
    }
  }
}

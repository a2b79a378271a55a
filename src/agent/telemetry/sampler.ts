/**
 * The one loop that measures host, workloads and cards. It runs while a workload does, and costs nothing else: no timer, no
 * question to the engine. Cards are asked while a workload that holds one runs: each question starts the driver's tool.
 */

import { AgentError } from '../../contract/failures.ts';
import type { HostUse } from '../../host/use.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { ContainerEngine, ContainerStats } from '../../runtime/engine.ts';
import { type GpuSample, type Measured, type MetricsBody, type Reading, sampleOf } from './sample.ts';

export interface SamplerOptions {
  readonly engine: Pick<ContainerEngine, 'stats'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Containers that run now. */
  readonly running: () => readonly Measured[];
  readonly readHost: () => Promise<HostUse>;
  /** Cards that answer, with who holds them; none while no workload that holds one runs. */
  readonly readGpus: (signal: AbortSignal) => Promise<readonly GpuSample[]>;
  readonly record: (body: MetricsBody) => void;
  readonly intervalMs: number;
}

export class Sampler {
  readonly #options: SamplerOptions;
  readonly #stop = new AbortController();
  #working = false;
  #latest: MetricsBody | undefined;

  constructor(options: SamplerOptions) {
    this.#options = options;
  }

  /** The newest sample; undefined while nothing runs, as an old one would only mislead. */
  get latest(): MetricsBody | undefined {
    return this.#latest;
  }

  /** Call it when a workload may have begun to run. */
  wake(): void {
    if (this.#working || this.#stop.signal.aborted || this.#options.running().length === 0) {
      return;
    }
    this.#working = true;
    void this.#work().finally(() => {
      this.#working = false;
      this.#latest = undefined;
    });
  }

  stop(): void {
    this.#stop.abort();
  }

  async #work(): Promise<void> {
    const { clock, running, record, intervalMs, log } = this.#options;
    const { signal } = this.#stop;
    try {
      let before = await this.#read();
      while (running().length > 0) {
        await clock.pause(intervalMs, signal);
        const now = await this.#read();
        this.#latest = sampleOf(before, now);
        record(this.#latest);
        before = now;
      }
    } catch (err) {
      if (!signal.aborted) {
        // Measuring must never harm what it measures: it is taken up again when the next workload begins to run.
        log.error({ err }, 'sampling ended');
      }
    }
  }

  async #read(): Promise<Reading> {
    const { clock, running, readHost, readGpus } = this.#options;
    const measured = running();
    const [host, gpus, stats] = await Promise.all([
      readHost(),
      readGpus(this.#stop.signal),
      Promise.all(measured.map(({ container }) => this.#statsOf(container))),
    ]);
    const known = measured.flatMap((each, index) => {
      const found = stats[index];
      return found ? [[each.container, { ...each, stats: found }] as const] : [];
    });
    const times = { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
    return { ...times, host, gpus, containers: new Map(known) };
  }

  /** Undefined for a container that has just ended, and while the engine is away. */
  async #statsOf(container: string): Promise<ContainerStats | undefined> {
    try {
      return await this.#options.engine.stats(container, this.#stop.signal);
    } catch (error) {
      if (error instanceof AgentError) {
        return undefined;
      }
      throw error;
    }
  }
}

/**
 * Watches what a host runs short of, and has new work refused before it hurts what runs: the engine's disk.
 *
 *   free ──(below the reserve)──▶ short ──(above the reserve and a quarter more)──▶ free
 *
 * The two marks lie apart, so that a disk that hovers around one of them gives no storm of events.
 */
import { AgentError } from '../contract/failures.ts';
import type { RecordBody } from '../contract/records.ts';
import { isLaunch } from '../contract/tasks.ts';
import type { DiskSpace } from '../host/resources.ts';
import type { Clock } from '../kit/clock.ts';
import type { Candidate } from './dispatch.ts';

export interface PressureOptions {
  /** Bytes that must stay free where the engine keeps its data. */
  readonly diskReserveBytes: number;
  /** Undefined while nobody knows where the engine keeps its data. */
  readonly disk: () => Promise<DiskSpace | undefined>;
  readonly clock: Clock;
  readonly report: (event: RecordBody<'event'>) => void;
}

const relief = 1.25;
const gib = 2 ** 30;

export class HostPressure {
  readonly #options: PressureOptions;
  #diskShort = false;
  #freeBytes = 0;

  constructor(options: PressureOptions) {
    this.#options = options;
  }

  /** Throws `disk.full` for a launch that this host should not begin now. */
  admit({ type }: Candidate): void {
    if (!isLaunch(type)) {
      return;
    }
    if (this.#diskShort) {
      throw new AgentError('disk.full', {
        reason: `The engine's disk has ${toGib(this.#freeBytes)} GiB left, and ${toGib(this.#options.diskReserveBytes)} are kept free.`,
        free_bytes: this.#freeBytes,
        needed_bytes: this.#options.diskReserveBytes,
      });
    }
  }

  async look(): Promise<void> {
    const disk = await this.#options.disk();
    if (disk === undefined) {
      return;
    }
    this.#freeBytes = disk.freeBytes;
    const { diskReserveBytes } = this.#options;
    const short = disk.freeBytes < diskReserveBytes * (this.#diskShort ? relief : 1);
    if (short !== this.#diskShort) {
      this.#diskShort = short;
      const [type, message] = short
        ? (['disk.short', 'The disk of the engine is nearly full; no new workloads are launched.'] as const)
        : (['disk.relieved', 'The disk of the engine has room again.'] as const);
      this.#tell(type, message, { free_bytes: disk.freeBytes, needed_bytes: diskReserveBytes });
    }
  }

  #tell(type: string, message: string, values: Record<string, unknown>): void {
    const time = new Date(this.#options.clock.wallMs()).toISOString();
    this.#options.report({
      ...{ workload_id: null, source: 'host', state: null, failure: null },
      event: { time, type, phase: null, message, values },
    });
  }
}

function toGib(bytes: number): number {
  return Math.round((bytes / gib) * 10) / 10;
}

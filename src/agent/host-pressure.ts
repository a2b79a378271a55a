/**
 * Watches what a host runs short of, and has new work refused before it hurts what runs: the engine's disk.
 *
 *   free ──(below the reserve)──▶ what may go goes ──(still below)──▶ short ──(above the reserve and a quarter more)──▶ free
 *
 * The two marks lie apart, so that a disk that hovers around one of them gives no storm of events. To make room may take minutes: below
 * half of the reserve nothing is launched meanwhile.
 */
import { AgentError } from '../contract/failures.ts';
import type { RecordBody } from '../contract/records.ts';
import { isLaunch } from '../contract/tasks.ts';
import type { DiskSpace } from '../host/resources.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { toGib } from '../kit/to-gib.ts';
import type { Candidate } from './dispatch.ts';

export interface PressureOptions {
  /** Bytes that must stay free where the engine keeps its data. */
  readonly diskReserveBytes: number;
  /** Undefined while nobody knows where the engine keeps its data. */
  readonly disk: () => Promise<DiskSpace | undefined>;
  /** Takes away what is kept for later, until no byte is missing. */
  readonly makeRoom: (missing: () => Promise<number>) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  readonly report: (event: RecordBody<'event'>) => void;
  /** Called where the disk has clearly more or less than when that was last told, and where it is short from now on or no longer is. */
  readonly onChange: () => void;
}

const relief = 1.25;
const farBelow = 0.5;
/** Part of the disk that is told of. */
const worthTelling = 0.01;
const gib = 2 ** 30;

export class HostPressure {
  readonly #options: PressureOptions;
  #diskShort = false;
  #isFarBelow = false;
  /** It was since it was last told of: whoever asked meanwhile has heard that nothing is free. */
  #wasFarBelow = false;
  #freeBytes = 0;
  #totalBytes = 0;
  #toldBytes: number | undefined;

  constructor(options: PressureOptions) {
    this.#options = options;
  }

  /** True while nothing is launched. */
  get isShort(): boolean {
    return this.#diskShort || this.#isFarBelow;
  }

  /** Throws `disk.full` for a launch that this host should not begin now. */
  admit({ type }: Candidate): void {
    if (!isLaunch(type)) {
      return;
    }
    if (this.isShort) {
      throw new AgentError('disk.full', {
        reason: `The engine's disk has ${toGib(this.#freeBytes)} GiB left, and ${toGib(this.#options.diskReserveBytes)} are kept free.`,
        free_bytes: this.#freeBytes,
        needed_bytes: this.#options.diskReserveBytes,
      });
    }
  }

  async look(): Promise<void> {
    const { diskReserveBytes } = this.#options;
    const mark = diskReserveBytes * (this.#diskShort ? relief : 1);
    if ((await this.#free()) < mark) await this.#makeRoom();
    const freeBytes = await this.#free();
    if (!Number.isFinite(freeBytes)) return;
    const short = freeBytes < mark;
    const isTurn = short !== this.#diskShort;
    this.#diskShort = short;
    this.#tellChange(freeBytes, isTurn || (this.#wasFarBelow && !this.isShort));
    if (isTurn) {
      const [type, message] = short
        ? (['disk.short', 'The disk of the engine is nearly full; no new workloads are launched.'] as const)
        : (['disk.relieved', 'The disk of the engine has room again.'] as const);
      this.#tell(type, message, { free_bytes: freeBytes, needed_bytes: diskReserveBytes });
    }
  }

  /** Who places jobs goes by what was last told. */
  #tellChange(freeBytes: number, isTurn: boolean): void {
    const before = this.#toldBytes ?? freeBytes;
    this.#toldBytes ??= freeBytes;
    if (!isTurn && Math.abs(freeBytes - before) < Math.max(gib, this.#totalBytes * worthTelling)) return;
    this.#toldBytes = freeBytes;
    this.#wasFarBelow = this.#isFarBelow;
    this.#options.onChange();
  }

  /** Bytes; infinite while nobody knows: what was known before holds on then. */
  async #free(): Promise<number> {
    const { disk, diskReserveBytes } = this.#options;
    const found = await disk();
    if (!found) return Number.POSITIVE_INFINITY;
    this.#freeBytes = found.freeBytes;
    this.#totalBytes = found.totalBytes;
    this.#isFarBelow = found.freeBytes < diskReserveBytes * farBelow;
    this.#wasFarBelow ||= this.#isFarBelow;
    return found.freeBytes;
  }

  /** With a quarter more than the reserve: else it would be short again with the next thing that is written. */
  async #makeRoom(): Promise<void> {
    const { makeRoom, diskReserveBytes, log } = this.#options;
    try {
      await makeRoom(async () => diskReserveBytes * relief - (await this.#free()));
    } catch (err) {
      log.warn({ err }, 'no room could be made on the disk of the engine');
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

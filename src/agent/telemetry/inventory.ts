/** Reports what the host is and has, when that has changed. */
import { arch, hostname, release } from 'node:os';
import type { RecordBody } from '../../contract/records.ts';
import type { WorkloadOciRuntimeStatusOutput } from '../../contract/workload-oci-runtime-status.ts';
import { osName } from '../../host/os-name.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';

type InventoryBody = RecordBody<'inventory'>;

export interface InventoryOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly agentVersion: string;
  /** Name of the allocation's user; null where it has none. */
  readonly sshUser: string | null;
  readonly draining: () => boolean;
  /** Looks at engine, cards and resources; see `tasks/workload-oci-runtime-status.ts`. */
  readonly probe: (signal: AbortSignal) => Promise<WorkloadOciRuntimeStatusOutput>;
  readonly record: (body: InventoryBody) => void;
  /** Time between two looks that nobody asked for, in milliseconds: cards come and go without a word. */
  readonly everyMs?: number;
}

export class InventoryReporter {
  readonly #options: InventoryOptions;
  #looking: Promise<void> | undefined;
  #reported = '';

  constructor(options: InventoryOptions) {
    this.#options = options;
  }

  /** Looks now and then, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, everyMs = 3_600_000 } = this.#options;
    while (!signal.aborted) {
      await this.look(signal).catch((err: unknown) => log.warn({ err }, 'inventory could not be taken'));
      await clock.pause(everyMs, signal).catch(() => undefined);
    }
  }

  /** Looks now; reports if something is not as it was. Looks at the same time are one. */
  async look(signal: AbortSignal): Promise<void> {
    this.#looking ??= this.#take(signal).finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  async #take(signal: AbortSignal): Promise<void> {
    const { clock, agentVersion, sshUser, draining, probe, record } = this.#options;
    const [os, runtime] = [await osName(), await probe(signal)];
    const body: InventoryBody = {
      at: new Date(clock.wallMs()).toISOString(),
      agent_version: agentVersion,
      hostname: hostname(),
      os,
      kernel: release(),
      arch: arch(),
      ssh_user: sshUser,
      // Asked last: a drain that begins while the host is looked at must not wait for the next look.
      draining: draining(),
      runtime,
    };
    const text = JSON.stringify(lasting(body));
    if (text !== this.#reported) {
      record(body);
      this.#reported = text;
    }
  }
}

/** Without what changes by itself: moments, and the disk below whole GiB. */
function lasting({ at: _at, runtime, ...host }: InventoryBody): unknown {
  const { probed_at: _probed, resources, ...rest } = runtime;
  const { disk_gib: disk } = resources;
  const whole = { ...disk, used: Math.round(disk.used), free: Math.round(disk.free) };
  return { ...host, runtime: { ...rest, resources: { ...resources, disk_gib: whole } } };
}

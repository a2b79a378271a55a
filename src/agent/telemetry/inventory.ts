/** Reports what the host is and has, when that has changed. */
import { arch, hostname, release } from 'node:os';
import type { HostHealth } from '../../contract/host-health.ts';
import { type KeptItem, maxKeptItems } from '../../contract/kept-items.ts';
import type { RecordBody } from '../../contract/records.ts';
import type { WorkloadOciRuntimeStatusOutput } from '../../contract/workload-oci-runtime-status.ts';
import { osName } from '../../host/os-name.ts';
import { type Backoff, backoffDelay } from '../../kit/backoff.ts';
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
  /**
   * Looks at engine, cards and resources; see `tasks/workload-oci-runtime-status.ts`. `isPatient`: an engine that is just
   * being restarted is waited for; who looks because the engine is away does not.
   */
  readonly probe: (signal: AbortSignal, isPatient: boolean) => Promise<WorkloadOciRuntimeStatusOutput>;
  /** What the checks of the doctor that cost nothing say. */
  readonly health: (signal: AbortSignal) => Promise<HostHealth>;
  /** What is kept for later jobs, those first that were not used for the longest. */
  readonly kept: () => Promise<readonly KeptItem[]>;
  readonly record: (body: InventoryBody) => void;
  /** Time between two looks that nobody asked for, in milliseconds: cards come and go without a word. */
  readonly everyMs?: number;
}

/** Until the next look where the engine gave no answer: it may just have been slow, and the host is given nothing meanwhile. */
const unanswered: Backoff = { firstMs: 5000, maxMs: 300_000, factor: 2 };

export class InventoryReporter {
  readonly #options: InventoryOptions;
  #looks: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | undefined;
  #reported = '';
  /** Looks in a row that the engine did not answer. */
  #unanswered = 0;
  #isAskedAgain = false;

  constructor(options: InventoryOptions) {
    this.#options = options;
  }

  /** Looks now and then, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, everyMs = 3_600_000 } = this.#options;
    while (!signal.aborted) {
      await this.look(signal, true).catch((err: unknown) => log.warn({ err }, 'inventory could not be taken'));
      await clock.pause(everyMs, signal).catch(() => undefined);
    }
  }

  /**
   * Looks, and reports if something is not as it was. A look that is at work may have seen what is over by now: the next
   * follows it, and is one for all who ask meanwhile.
   */
  look(signal: AbortSignal, isPatient = false): Promise<void> {
    this.#waiting ??= this.#looks.then(() => {
      this.#waiting = undefined;
      const look = this.#take(signal, isPatient);
      this.#looks = look.catch(() => undefined);
      return look;
    });
    return this.#waiting;
  }

  async #take(signal: AbortSignal, isPatient: boolean): Promise<void> {
    const { clock, agentVersion, sshUser, draining, probe, health: look, kept, log, record } = this.#options;
    const [os, runtime, health] = await Promise.all([osName(), probe(signal, isPatient), look(signal)]);
    const items = await kept().catch(
      (err: unknown) => void log.warn({ err }, 'what is kept for later jobs is not known'),
    );
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
      health,
      ...(items && { kept: items.slice(-maxKeptItems).reverse() }),
    };
    this.#unanswered = runtime.engine === null ? this.#unanswered + 1 : 0;
    if (this.#unanswered > 0 && !this.#isAskedAgain) void this.#askAgain(signal);
    const text = JSON.stringify(lasting(body));
    if (text !== this.#reported) {
      record(body);
      this.#reported = text;
    }
  }

  async #askAgain(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    this.#isAskedAgain = true;
    await clock.pause(backoffDelay(unanswered, this.#unanswered), signal).catch(() => undefined);
    this.#isAskedAgain = false;
    if (signal.aborted || this.#unanswered === 0) return;
    await this.look(signal).catch((err: unknown) => log.warn({ err }, 'inventory could not be taken'));
  }
}

/** Without what changes by itself: moments, the disk below whole GiB, and the figures in what the doctor found. */
function lasting({ at: _at, runtime, health, ...host }: InventoryBody): unknown {
  const findings = health?.findings.map(({ name, status }) => [name, status]);
  const { probed_at: _probed, resources, ...rest } = runtime;
  const { disk_gib: disk } = resources;
  const { evictable = null, held = {} } = disk;
  const whole = {
    ...{ ...disk, used: Math.round(disk.used), free: Math.round(disk.free) },
    evictable: evictable && Math.round(evictable),
    held: Object.entries(held).map(([job, gib]) => [job, Math.round(gib)]),
  };
  return { ...host, findings, runtime: { ...rest, resources: { ...resources, disk_gib: whole } } };
}

/**
 * Looks after the cards of this host: at a slow interval, and whenever the kernel says something of one. A host without a
 * driver is looked at once an hour, by the look for a file.
 *
 * What it finds decides who gets a card: a card that is not well is quarantined, and whoever holds it is told.
 */
import type { Gpu } from '../../contract/gpus.ts';
import type { RecordBody } from '../../contract/records.ts';
import type { DriverProbe } from '../../host/driver-probe.ts';
import type { GpuProbe } from '../../host/gpus.ts';
import { KernelLog } from '../../host/kernel-log.ts';
import { isDriverLoad, readXid, type Xid } from '../../host/xid.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { CardLinks } from '../../policy/choose-cards.ts';
import type { CardInventory } from '../../tasks/gpu-ledger.ts';
import { troublesOf } from '../host-gpus.ts';
import { HealthFile } from './health-file.ts';
import { Quarantine, type Verdict } from './quarantine.ts';
import { XidEvents } from './xid-events.ts';

export interface GpuHealthOptions {
  readonly probe: (signal: AbortSignal) => Promise<GpuProbe>;
  /** How the cards are linked; asked where there are others than before. */
  readonly links: (signal: AbortSignal) => Promise<CardLinks>;
  /** The kernel's log: its path or, open already, its descriptor; or the file that stands for it. */
  readonly kernelLog: string | number;
  readonly stateDir: string;
  /** Changes with each boot of the host. */
  readonly bootId: string;
  readonly lookEveryMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Workload that has the lease of a card. */
  readonly heldBy: (uuid: string) => string | null;
  readonly report: (event: RecordBody<'event'>) => void;
  /** Called after a card came, went, or is not as it was. */
  readonly onChange: () => void;
}

/** Between two looks into the kernel's log. A look that finds nothing is one call of the system. */
const kernelEveryMs = 5000;
const noDriverEveryMs = 3_600_000;

export class GpuHealth {
  readonly #options: GpuHealthOptions;
  readonly #file: HealthFile;
  readonly #quarantine: Quarantine;
  readonly #xidEvents: XidEvents;
  readonly #firstLook = Promise.withResolvers<void>();
  #kernelLog: KernelLog | undefined;
  /** Number of the last line of the kernel that was judged. */
  #kernelLine = -1;
  /** What is kept comes from another boot of the host. */
  #isOtherBoot = false;
  #drivers: readonly DriverProbe[] = [];
  #unhealthy: ReadonlyMap<string, string>;
  #renderNodes: ReadonlyMap<string, string> = new Map();
  #links: CardLinks = new Map();
  /** Cards whose links are known. */
  #linked = '';

  constructor(options: GpuHealthOptions) {
    this.#options = options;
    this.#file = new HealthFile(options.stateDir);
    const kept = this.#file.read();
    this.#quarantine = new Quarantine(kept);
    if (kept !== undefined) {
      this.#isOtherBoot = kept.boot_id !== options.bootId;
      this.#kernelLine = this.#isOtherBoot ? -1 : kept.kernel_line;
    }
    this.#xidEvents = new XidEvents(options.clock, (values, message) => this.#tell('gpu.xid', message, values));
    this.#unhealthy = this.#reasons();
  }

  /** Looks after the cards until the signal is aborted. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      try {
        await this.look(signal);
        await this.#rest(signal);
      } catch (err) {
        if (!signal.aborted) {
          log.warn({ err }, 'cards could not be looked at');
          // Whoever waits for the first look must not wait for one that succeeds.
          this.#firstLook.resolve();
          await clock.pause(kernelEveryMs, signal).catch(() => undefined);
        }
      }
    }
    this.#kernelLog?.[Symbol.dispose]();
  }

  /** Until the next look is due. */
  async #rest(signal: AbortSignal): Promise<void> {
    const { clock, lookEveryMs, kernelLog } = this.#options;
    if (this.#drivers.length === 0) {
      await clock.pause(noDriverEveryMs, signal);
    } else {
      this.#kernelLog ??= KernelLog.open(kernelLog);
      await this.#listenFor(lookEveryMs, signal);
    }
  }

  /** Asks the drivers. Rejects only with the signal's reason. */
  async look(signal: AbortSignal): Promise<void> {
    const { probe, heldBy } = this.#options;
    const seen = await probe(signal);
    this.#tellSilence(seen.drivers);
    this.#drivers = seen.drivers;
    this.#renderNodes = seen.renderNodes;
    this.#change(() => {
      if (this.#isOtherBoot) {
        this.#quarantine.rebooted();
        this.#isOtherBoot = false;
      }
      this.#quarantine.see(seen, (uuid) => heldBy(uuid) !== null);
    });
    await this.#askLinks(signal);
    this.#firstLook.resolve();
  }

  async #askLinks(signal: AbortSignal): Promise<void> {
    const cards = this.#drivers.flatMap(({ vendor, gpus }) =>
      vendor === 'nvidia' ? gpus.map(({ uuid }) => uuid) : [],
    );
    const asked = cards.sort().join(' ');
    if (cards.length > 1 && asked !== this.#linked) {
      this.#links = await this.#options.links(signal);
      this.#linked = asked;
    }
  }

  /** What can be leased, as of the last look; waits for the first one. Rejects only with the signal's reason. */
  async inventory(signal: AbortSignal): Promise<CardInventory> {
    const { promise: gone, reject } = Promise.withResolvers<never>();
    const leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    try {
      signal.throwIfAborted();
      await Promise.race([this.#firstLook.promise, gone]);
    } finally {
      signal.removeEventListener('abort', leave);
    }
    const reason = troublesOf(this.#drivers);
    return { gpus: this.cards(), links: this.#links, renderNodes: this.#renderNodes, reason };
  }

  /**
   * All cards that were seen and not given up, how each is and why; a snapshot that asks nobody. Who holds them the ledger
   * knows.
   */
  cards(): Gpu[] {
    return this.#quarantine.verdicts().map(({ gpu, reason }) => ({
      ...gpu,
      ...{ health: reason === null ? 'healthy' : 'unhealthy', reason },
    }));
  }

  /** Why each quarantined card is not well. */
  unhealthy(): ReadonlyMap<string, string> {
    return this.#unhealthy;
  }

  /** Cards that are gone. */
  vanished(): ReadonlySet<string> {
    return new Set(this.#quarantine.verdicts().flatMap(({ gpu, vanished }) => (vanished ? [gpu.uuid] : [])));
  }

  /** False also for a card that nobody knows. */
  isHealthy(uuid: string): boolean {
    return this.#quarantine.verdicts().some(({ gpu, reason }) => gpu.uuid === uuid && reason === null);
  }

  /** False where the kernel's log cannot be read: what it says of cards goes unheard then. */
  get hearsKernel(): boolean {
    return this.#drivers.length === 0 || this.#kernelLog !== undefined;
  }

  /** An operator has seen to the card. False for a card that nobody knows. */
  clear(uuid: string): boolean {
    let isKnown = false;
    this.#change(() => {
      isKnown = this.#quarantine.clear(uuid);
    });
    return isKnown;
  }

  /** Until this time is over, or the kernel said something after which the drivers should be asked. */
  async #listenFor(ms: number, signal: AbortSignal): Promise<void> {
    let isNews = this.#listen();
    for (let waited = 0; waited < ms && !isNews && !signal.aborted; waited += kernelEveryMs) {
      await this.#options.clock.pause(Math.min(kernelEveryMs, ms - waited), signal);
      isNews = this.#listen();
    }
  }

  #listen(): boolean {
    let isNews = false;
    for (const { number, time, text } of this.#kernelLog?.read() ?? []) {
      const xid = readXid(text);
      if (number > this.#kernelLine && (xid !== undefined || isDriverLoad(text))) {
        this.#kernelLine = number;
        isNews ||= xid === undefined || xid.settled || xid.needs !== 'nothing';
        this.#change(() => (xid === undefined ? this.#quarantine.driverLoaded() : this.#hear(xid, time)));
      }
    }
    this.#xidEvents.tell();
    return isNews;
  }

  #hear(xid: Xid, time: string): void {
    this.#quarantine.hear(xid, time);
    this.#xidEvents.heard(xid, time, this.#quarantine.cardsAt(xid.slot));
  }

  #change(make: () => void): void {
    const before = this.#quarantine.verdicts();
    make();
    const after = this.#quarantine.verdicts();
    this.#keep();
    this.#unhealthy = this.#reasons();
    const known = new Map(before.map((verdict) => [verdict.gpu.uuid, verdict]));
    for (const verdict of after) {
      this.#tellChange(known.get(verdict.gpu.uuid), verdict);
    }
    if (JSON.stringify(before) !== JSON.stringify(after)) {
      this.#options.onChange();
    }
  }

  /** A disk without room is no reason to look away; it is tried again at each look. */
  #keep(): void {
    const { bootId, log } = this.#options;
    try {
      this.#file.write({ boot_id: bootId, kernel_line: this.#kernelLine, ...this.#quarantine.kept() });
    } catch (err) {
      log.error({ err }, 'health of the cards could not be written down');
    }
  }

  /** A driver in trouble that has never shown a card has none to tell it of. */
  #tellSilence(drivers: readonly DriverProbe[]): void {
    for (const { vendor, tool, gpus, partitioned, reason } of drivers) {
      const isNew = this.#drivers.every((before) => before.vendor !== vendor || before.reason === null);
      const isKnown = this.#quarantine.verdicts().some(({ gpu }) => gpu.vendor === vendor);
      if (reason !== null && isNew && !isKnown && gpus.length + partitioned.length === 0) {
        this.#tell('gpu.unhealthy', `No card can be had from this driver: ${reason}`, { uuid: null, tool, reason });
      }
    }
  }

  #tellChange(before: Verdict | undefined, { gpu, reason, vanished }: Verdict): void {
    const values = { uuid: gpu.uuid, name: gpu.name, held_by: this.#options.heldBy(gpu.uuid), reason };
    if (vanished && before?.vanished !== true) {
      this.#tell('gpu.vanished', `The card ${gpu.uuid} is gone: ${reason}`, values);
    } else if (reason !== null && (before?.reason ?? null) === null) {
      this.#tell('gpu.unhealthy', `The card ${gpu.uuid} is not well: ${reason}`, values);
    } else if (reason === null && (before?.reason ?? null) !== null) {
      this.#tell('gpu.recovered', `The card ${gpu.uuid} is well again.`, { ...values, reason: before?.reason });
    }
  }

  #reasons(): Map<string, string> {
    return new Map(
      this.#quarantine.verdicts().flatMap(({ gpu, reason }) => (reason === null ? [] : [[gpu.uuid, reason] as const])),
    );
  }

  #tell(type: string, message: string, values: Record<string, unknown>): void {
    const { clock, report } = this.#options;
    report({
      ...{ workload_id: null, source: 'host', state: null, failure: null },
      event: { time: new Date(clock.wallMs()).toISOString(), type, phase: null, message, values },
    });
  }
}

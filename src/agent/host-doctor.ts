/** The doctor of the host that the agent lives on: whole when somebody asks, and what costs nothing beside each inventory. */
import type { HostHealth } from '../contract/host-health.ts';
import { cheapOnes, healthOf } from '../host/doctor/beside-inventory.ts';
import { type CheckResult, runChecks } from '../host/doctor/check.ts';
import type { ControlPlanePlace } from '../host/doctor/control-plane-checks.ts';
import type { UpdateFacts } from '../host/doctor/install-checks.ts';
import { type AgentFacts, type DoctorInput, hostChecks } from '../host/doctor.ts';
import type { Clock } from '../kit/clock.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { ContainerEngine } from '../runtime/engine.ts';
import type { AgentConfig, LoadedConfig } from './config.ts';
import { controlPlaneOrigin } from './control-plane/origin.ts';
import { readNode } from './identity/node-record.ts';
import type { Journal } from './journal/journal.ts';
import { readLast, readPending, readSkipped, readVersionLink } from './update/guarded.ts';
import { placesOf, type UpdatePlaces } from './update/places.ts';
import { originOf, readCa, type Uplink } from './uplink.ts';

export interface HostDoctorParts {
  readonly loaded: LoadedConfig;
  readonly policy: HostPolicy;
  readonly engine: Pick<ContainerEngine, 'facts'>;
  /** Undefined where no agent runs in this process. */
  readonly living?: LivingParts;
}

export interface LivingParts {
  readonly clock: Clock;
  readonly uplink: Pick<Uplink, 'clockAheadMs'>;
  readonly journal: Pick<Journal, 'depth' | 'fault'>;
}

/** Longest that one of the checks beside an inventory may take. */
const glanceMs = 5000;

export class HostDoctor {
  readonly #parts: HostDoctorParts;
  /** Wall clock less monotonic clock, when the agent began. */
  readonly #began: number;

  constructor(parts: HostDoctorParts) {
    this.#parts = parts;
    this.#began = parts.living ? wallAhead(parts.living.clock) : 0;
  }

  /** Every check, or those of these names. */
  async examine(signal: AbortSignal, only?: ReadonlySet<string>): Promise<CheckResult[]> {
    const checks = hostChecks(this.#input({ readsJournal: true }));
    return await runChecks(only ? checks.filter(({ name }) => only.has(name)) : checks, { signal });
  }

  /** The checks that start no program and ask no network. */
  async glance(signal: AbortSignal): Promise<HostHealth> {
    const checks = cheapOnes(hostChecks(this.#input({ readsJournal: false })));
    return healthOf(await runChecks(checks, { signal, timeoutMs: glanceMs }));
  }

  #input({ readsJournal }: { readonly readsJournal: boolean }): DoctorInput {
    const { loaded, policy, engine, living } = this.#parts;
    const { config } = loaded;
    return {
      ...{ policy, stateDir: config.state_dir, path: process.env['PATH'], controlPlane: placeOf(config) },
      pluginFolders: config.stacks.plugin_folders,
      askEngine: (limit) => engine.facts(limit),
      agent: living && this.#facts(living, readsJournal),
      updates: () => updatesOf(placesOf(config)),
    };
  }

  #facts({ clock, uplink, journal }: LivingParts, readsJournal: boolean): AgentFacts {
    return {
      clockAheadMs: () => uplink.clockAheadMs(),
      clockSetMs: () => wallAhead(clock) - this.#began,
      journalTrouble: () =>
        journal.depth().full ? 'The disk has no room for another task.' : readsJournal ? journal.fault() : null,
    };
  }
}

function updatesOf(places: UpdatePlaces): UpdateFacts {
  return {
    ...{ current: readVersionLink(places, 'current'), pending: readPending(places) },
    ...{ last: readLast(places), skipped: readSkipped(places) },
  };
}

function wallAhead(clock: Clock): number {
  return clock.wallMs() - clock.monotonicMs();
}

/** Undefined where the host has no control plane, or where this user may not see which one. */
function placeOf(config: AgentConfig): ControlPlanePlace | undefined {
  try {
    const { url, ca_file } = config.control_plane ?? {};
    const node = readNode(config.state_dir);
    if (node === undefined && url === undefined) return undefined;
    const origin = node
      ? originOf(config, node)
      : controlPlaneOrigin(url ?? '', ca_file === undefined ? undefined : readCa(ca_file));
    const { ca } = origin.tlsOptions();
    return { url: origin.audience, ...(ca === undefined ? {} : { ca }) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return undefined;
    throw error;
  }
}

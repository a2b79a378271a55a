/** The ledger of this host's cards, as agent and `run-task` use it. */
import { bounds, cutText } from '../contract/bounds.ts';
import type { RecordBody } from '../contract/records.ts';
import { deviceNode, readCdiNames } from '../host/card-ways.ts';
import { type DriverProbe, isInTrouble } from '../host/driver-probe.ts';
import { probeGpuLinks } from '../host/gpu-topology.ts';
import { probeGpus } from '../host/gpus.ts';
import { whyNoneInGvisor } from '../host/gvisor-cards.ts';
import { findProgram, searchFolders } from '../host/programs.ts';
import type { Clock } from '../kit/clock.ts';
import { type CardWays, computeDevice } from '../policy/given-cards.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { ContainerEngine } from '../runtime/engine.ts';
import {
  type CardConflict,
  type CardInventory,
  GpuLedger,
  type GpuLedgerOptions,
  leasesInMemory,
} from '../tasks/gpu-ledger.ts';
import type { Lease } from '../tasks/lease-choice.ts';
import type { Journal } from './journal/journal.ts';
import type { SupervisorOptions } from './supervision/supervisor.ts';

export interface HostGpusOptions
  extends Partial<Pick<GpuLedgerOptions, 'store' | 'inventory' | 'onConflict' | 'onChange'>> {
  readonly engine: Pick<ContainerEngine, 'list' | 'facts'>;
  readonly policy: Pick<HostPolicy, 'sandboxes' | 'gvisor_cards'>;
}

/** Without a store leases end with this process; what containers hold is read from their labels in any case. */
export function openGpuLedger({ engine, policy, ...options }: HostGpusOptions): GpuLedger {
  return new GpuLedger({
    ...{ engine, store: leasesInMemory(), inventory: lookAtCards, ...options },
    ways: (inventory, signal) => waysOf(inventory, engine, signal),
    whyNoneInGvisor: async (gpus, signal) => {
      if (policy.gvisor_cards !== true) return 'Host policy gives it none: `gvisor_cards` is not set.';
      const { runtimePrograms: programs } = await engine.facts(signal);
      const find = (program: string) => findProgram(program, searchFolders(process.env['PATH']));
      return await whyNoneInGvisor({ name: policy.sandboxes.gvisor, programs, gpus, find }, signal);
    },
  });
}

/** Of a host where nobody looks after the cards. */
async function lookAtCards(signal: AbortSignal): Promise<CardInventory> {
  const sources = { path: process.env['PATH'], signal };
  const { gpus, drivers, renderNodes } = await probeGpus(sources);
  const links = gpus.length > 1 ? await probeGpuLinks(sources) : new Map();
  return { gpus, renderNodes, links, reason: troublesOf(drivers) };
}

/** What is wrong with whole drivers; null if nothing is. One that lists some cards and complains is not meant. */
export function troublesOf(drivers: readonly DriverProbe[]): string | null {
  const reasons = drivers.filter(isInTrouble).flatMap(({ reason }) => reason ?? []);
  return reasons.length > 0 ? reasons.join(' ') : null;
}

async function waysOf(
  { renderNodes }: CardInventory,
  engine: Pick<ContainerEngine, 'facts'>,
  signal: AbortSignal,
): Promise<CardWays> {
  const { cdiFolders } = await engine.facts(signal);
  const nodes = await Promise.all(
    renderNodes.entries().map(async ([uuid, path]) => {
      const node = await deviceNode(path);
      return node ? [[uuid, node] as const] : [];
    }),
  );
  return {
    cdiNames: await readCdiNames(cdiFolders),
    renderNodes: new Map(nodes.flat()),
    computeGroup: (await deviceNode(computeDevice))?.group,
  };
}

/** Leases are kept for workloads that the journal has and for tasks that are to be run, though they have no container. */
export function cardsToReconcile(
  ledger: GpuLedger,
  journal: Pick<Journal, 'workload' | 'unfinished'>,
): NonNullable<SupervisorOptions['cards']> {
  return {
    get moment() {
      return ledger.moment;
    },
    reconcile: (containers, moment) => {
      const tasks = new Set(journal.unfinished().map(({ envelope }) => envelope.workload_id));
      ledger.reconcile(containers, moment, {
        isAtWork: (id) => tasks.has(id),
        knows: (lease) => knows(journal, lease),
      });
    },
  };
}

function knows(journal: Pick<Journal, 'workload'>, { instance, service }: Lease): boolean {
  const row = journal.workload(instance);
  const services: readonly (string | null)[] = row?.stack?.services.map((each) => each.service) ?? [null];
  return row !== undefined && services.includes(service);
}

/** Tells that several containers hold one card, or that this is over. */
export function conflictEvent({ uuid, instances }: CardConflict, clock: Pick<Clock, 'wallMs'>): RecordBody<'event'> {
  const [type, message] =
    instances.length > 1
      ? ([
          'gpu.conflict',
          `Card ${uuid} is held by containers of ${instances.join(' and ')}; nobody else gets it until one is removed.`,
        ] as const)
      : (['gpu.conflict_resolved', `Card ${uuid} is with one workload at most again.`] as const);
  const event = { time: new Date(clock.wallMs()).toISOString(), type, phase: null };
  return {
    ...{ workload_id: null, source: 'supervisor', state: null, failure: null },
    event: { ...event, message: cutText(message, bounds.message), values: { uuid, instances } },
  };
}

/** The places of a project as its jobs see them: what there is in all, what is free, and whether something can be begun now. */
import { isForGvisor } from '../../contract/gpus.ts';
import type { Shape } from '../db/entities/allocation.ts';
import type { Node } from '../db/entities/node.ts';
import type { ReadTx } from '../db/store.ts';
import type { HostCards } from '../launch/card-fit.ts';
import { loadPlaces, type Place } from '../launch/load-facts.ts';
import { whyUnfit } from '../launch/preflight.ts';
import { holdsCards, left, promised } from '../launch/resource-fit.ts';
import { type HostDisk, keptByRevision } from './held-disk.ts';
import type { JobHost } from './placement.ts';

/** What an agent must be able to carry out. */
const needed = ['workload.job_launch', 'workload.job_control', 'workload.job_remove'];

/** Hosts that have enrolled for allocations of the project that are in use. */
export async function hostsOf(
  tx: ReadTx,
  projectId: string,
  isConnected: (nodeId: string) => boolean,
): Promise<JobHost[]> {
  const places = await loadPlaces(tx, projectId);
  return places.flatMap((place) => hostOf(place, projectId, isConnected) ?? []);
}

function hostOf(
  { allocation, node, neighbours, host, capacity }: Place,
  projectId: string,
  isConnected: (nodeId: string) => boolean,
): JobHost | undefined {
  if (!allocation || !node || allocation.state !== 'active') return undefined;
  const { shape } = allocation;
  const disk = (node.runtime ?? node.inventory?.runtime)?.resources.disk_gib;
  // Of a host that has said nothing yet, what it was given for is believed: it is asked before anything is begun.
  const has = capacity ?? shape;
  const free = left(shape, neighbours);
  const used = promised(neighbours);
  return {
    ...{ allocationId: allocation.id, nodeId: node.id, name: node.name, projects: [projectId] },
    unfit: whyUnfit(node, needed) ?? whyNotNow(node.id, capacity !== undefined, isConnected),
    total: {
      cpu_cores: Math.min(shape.cpu_cores, has.cpu_cores),
      memory_gib: Math.min(shape.memory_gib, has.memory_gib),
      disk_gib: disk ? Math.max(0, disk.total - disk.reserved) : Number.MAX_SAFE_INTEGER,
    },
    free: {
      cpu_cores: Math.min(free.cpu_cores, has.cpu_cores - used.cpu_cores),
      memory_gib: Math.min(free.memory_gib, has.memory_gib - used.memory_gib),
    },
    disk: {
      ...diskOf(node, projectId),
      claims: neighbours.flatMap(({ disk: claim }) => claim ?? []),
    },
    cards: cardsOf(host, neighbours, shape),
    ...{ cardLimit: shape.gpu_count, cardsPromised: used.gpu_count },
    offers: offersOf(node),
    architecture: node.inventory?.arch,
  };
}

/** On the disk of its engine. Of a host that has said nothing yet there is none. */
export function diskOf(
  { runtime, inventory }: Pick<Node, 'runtime' | 'inventory'>,
  projectId: string,
): Omit<HostDisk, 'claims'> {
  const disk = (runtime ?? inventory?.runtime)?.resources.disk_gib;
  return {
    now: disk ? disk.free + (disk.evictable ?? 0) : 0,
    held: disk?.held ?? {},
    kept: keptByRevision(inventory?.kept ?? [], projectId),
  };
}

/** What an agent does not say it cannot do, and knows nothing of. Undefined where it has said nothing yet. */
export function offersOf(node: Node): JobHost['offers'] {
  const said = node.runtime ?? node.inventory?.runtime;
  const nothing = {
    sandboxes: [],
    builds: false,
    build_network: false,
    gvisor_cards: false,
    downloads: false,
    plans: [],
  };
  return said && { ...nothing, ...said.offers };
}

function whyNotNow(nodeId: string, isKnown: boolean, isConnected: (nodeId: string) => boolean): string | undefined {
  if (!isConnected(nodeId)) return 'It is not connected.';
  return isKnown ? undefined : 'It has not said yet what it has.';
}

/**
 * A card is not free where somebody has it who is still there; and of those that are free so many are not that were promised and
 * are not held yet, the largest of them. Those of a host that has said nothing are believed to be what was given.
 */
function cardsOf(host: HostCards | undefined, neighbours: Place['neighbours'], shape: Shape): JobHost['cards'] {
  if (!host)
    return Array.from({ length: shape.gpu_count }, () => ({
      ...{ memoryMib: Number.MAX_SAFE_INTEGER, isForGvisor: true, isFree: true },
    }));
  const holders = neighbours.filter(holdsCards);
  const isHeld = (by: string) => holders.some(({ id }) => id === by) || host.strangers.has(by);
  const cards = host.cards
    .filter(({ health }) => health === 'healthy')
    .map((card) => ({
      ...{ memoryMib: card.memory_mib, isForGvisor: isForGvisor(card) },
      isFree: card.held_by === null || !isHeld(card.held_by),
    }))
    .sort((a, b) => b.memoryMib - a.memoryMib);
  const held = (id: string) => host.cards.filter(({ held_by }) => held_by === id).length;
  let pending = holders.reduce((sum, { id, resources }) => sum + Math.max(0, resources.gpu_count - held(id)), 0);
  return cards.map((card) => {
    if (!card.isFree || pending === 0) return card;
    pending -= 1;
    return { ...card, isFree: false };
  });
}

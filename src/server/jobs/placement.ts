/** Where a job fits: what each host has in all, what of it is free, and what is missing. Pure. */

import { isCardOf } from '../../contract/gpus.ts';
import type { PlanPart } from '../../contract/plan-parts.ts';
import type { Resources } from '../../contract/workload-oci-launch.ts';
import { architectureOf } from '../../policy/promises/platforms.ts';
import type { JobNeeds } from '../db/entities/job.ts';
import { diskFor, diskOnceIdle, type HostDisk } from './held-disk.ts';

interface Amounts {
  readonly cpu_cores: number;
  readonly memory_gib: number;
  readonly disk_gib: number;
}

/** A place for jobs: a node, as far as its allocation goes. */
export interface JobHost {
  readonly allocationId: string;
  readonly nodeId: string;
  readonly name: string;
  /** Projects whose jobs it takes. */
  readonly projects: readonly string[];
  /** Why nothing can be begun there now, whatever is free; undefined where it can. */
  readonly unfit: string | undefined;
  /** What there is in all for jobs, whatever runs. */
  readonly total: Amounts;
  readonly free: Omit<Amounts, 'disk_gib'>;
  readonly disk: HostDisk;
  /** Cards of it that are well; `isFree` where nobody has them. */
  readonly cards: readonly {
    readonly memoryMib: number;
    readonly isForGvisor: boolean;
    readonly isFree: boolean;
  }[];
  /** Its architecture as programs say it, `x64`; undefined where it has said nothing yet. */
  readonly architecture?: string | undefined;
  /** Most cards that its allocation may use at a time, and how many of those are promised. */
  readonly cardLimit: number;
  readonly cardsPromised: number;
  /** What it lets jobs ask for; undefined where it has said nothing yet. */
  readonly offers:
    | {
        readonly sandboxes: readonly string[];
        readonly builds: boolean;
        readonly build_network: boolean;
        readonly gvisor_cards: boolean;
        readonly downloads: boolean;
        readonly plans: readonly string[];
      }
    | undefined;
}

export interface Missing {
  readonly name: string;
  readonly wanted: number;
  readonly have: number;
  /** The whole of it, where no amount says it. */
  readonly words?: string;
}

type Granted = Pick<Resources, 'gpu_count' | 'cpu_cores' | 'memory_gib'>;

export type Fit =
  /** However long it waits. */
  | { readonly is: 'never'; readonly missing: readonly Missing[] }
  | { readonly is: 'later'; readonly missing: readonly Missing[] }
  | { readonly is: 'now'; readonly granted: Granted };

/** `revision`: that the job is of, if any. */
export function fitOf(needs: JobNeeds, host: JobHost, revision?: string): Fit {
  const granted = shareOf(needs, host);
  const refused = notOffered(needs, host);
  if (refused) return { is: 'never', missing: [refused] };
  const its = { ...host, cards: host.cards.filter((card) => isInReach(card, needs)) };
  const able = its.cards.filter((card) => isAble(card, needs));
  const never = lacking(needs, granted, host.total, Math.min(able.length, host.cardLimit));
  // Without a card of its own, it still wants to be where such a card is.
  if (needs.gpu_memory_mib > 0 && needs.gpu_count === 0 && able.length === 0) never.push(cardMemory(needs, its));
  if (never.length > 0) return { is: 'never', missing: never.map((each) => inCards(each, needs, its)) };
  const freeCards = Math.min(able.filter(({ isFree }) => isFree).length, host.cardLimit - host.cardsPromised);
  const later = lacking(
    needs,
    granted,
    { ...host.free, disk_gib: diskFor(host.disk, revision) },
    Math.max(0, freeCards),
  );
  return later.length > 0 ? { is: 'later', missing: later } : { is: 'now', granted };
}

const partsInWords = {
  shared_services: 'lets jobs share services',
  service_states: 'lets a job share some of its services and have others for itself',
  payload: 'carries out computation payload manifests',
  allow_list: 'holds jobs to a list of addresses',
} as const satisfies Partial<Record<PlanPart, string>>;

/** Of a host that has said nothing yet it is believed that it does: it is asked before anything is begun. */
function notOffered(needs: JobNeeds, { offers, architecture }: JobHost): Missing | undefined {
  const { sandbox, builds, architectures } = needs;
  const lacks = (words: string) => ({ name: 'hosts', wanted: 1, have: 0, words });
  const its = architecture === undefined ? undefined : architectureOf(architecture);
  if (architectures && its !== undefined && !architectures.includes(its)) {
    return lacks(`a host of the architecture ${architectures.join(' or ') || 'that it is for, which no host has'}`);
  }
  if (offers === undefined) return undefined;
  if (sandbox !== undefined && !offers.sandboxes.includes(sandbox)) return lacks(`a host that offers ${sandbox}`);
  if (sandbox === 'gvisor' && needs.gpu_count > 0 && !offers.gvisor_cards)
    return lacks('a host that gives NVIDIA cards to gVisor, which its operator switches on there (`gvisor_cards`)');
  for (const [part, words] of Object.entries(partsInWords)) {
    const isLacking = needs[part as keyof typeof partsInWords] && !offers.plans.includes(part);
    if (isLacking) return lacks(`a host whose agent ${words}; update it`);
  }
  if (builds && !offers.builds) return lacks('a host whose operator lets images be built on it');
  if (needs.downloads && !offers.downloads) {
    return lacks('a host whose operator lets images be downloaded by their hash (`payloads`)');
  }
  const isShut = needs.build_network && !offers.build_network;
  return isShut
    ? lacks(
        'a host that gives builds a network, which its operator says there (`builds.network`), and whose agent knows it',
      )
    : undefined;
}

/** Where nobody says how much: of a host with cards what goes with them, of one without a quarter. Never less than a core. */
function shareOf(needs: JobNeeds, { total, cards }: JobHost): Granted {
  const { gpu_count, cpu_cores, memory_gib, least_memory_gib = 0 } = needs;
  const share = gpu_count > 0 && cards.length > 0 ? Math.min(1, gpu_count / cards.length) : 1 / 4;
  const part = (all: number, least: number, step: number) =>
    Math.max(Math.min(least, all), Math.floor(all * share * step) / step, 1 / step);
  return {
    gpu_count,
    cpu_cores: cpu_cores ?? part(total.cpu_cores, 1, 10),
    memory_gib: memory_gib ?? Math.max(part(total.memory_gib, 1, 16), least_memory_gib),
  };
}

type Card = JobHost['cards'][number];

function isInReach({ isForGvisor }: Card, { sandbox }: JobNeeds): boolean {
  return isForGvisor || sandbox !== 'gvisor';
}

function isAble(card: Card, needs: JobNeeds): boolean {
  return isInReach(card, needs) && isCardOf(needs.gpu_memory_mib, card.memoryMib);
}

function lacking(needs: JobNeeds, granted: Granted, have: Amounts, cards: number): Missing[] {
  const all: Missing[] = [
    { name: cardWords, wanted: needs.gpu_count, have: cards },
    { name: 'cores', wanted: granted.cpu_cores, have: have.cpu_cores },
    { name: 'GiB of memory', wanted: granted.memory_gib, have: have.memory_gib },
    { name: diskWords(needs), wanted: needs.disk_gib, have: have.disk_gib },
  ];
  return all.filter((each) => each.wanted > each.have);
}

/** With what most of it is for. */
function diskWords({ disk_parts = [] }: JobNeeds): string {
  const [most] = disk_parts.toSorted((a, b) => b.gib - a.gib);
  if (most === undefined || most.gib === 0) return diskName;
  return `${diskName} (most of it, ${round(most.gib)}, for ${most.part})`;
}

const cardWords = 'GPUs';
const diskName = 'GiB of disk';

/** Where there are cards enough and only their memory is too small, that is what is missing. */
function inCards(missing: Missing, needs: JobNeeds, host: JobHost): Missing {
  const isMemory = missing.name === cardWords && Math.min(host.cards.length, host.cardLimit) >= needs.gpu_count;
  return isMemory ? cardMemory(needs, host) : missing;
}

function cardMemory({ gpu_memory_mib: wanted }: JobNeeds, { cards }: JobHost): Missing {
  return { name: 'MiB of memory on a GPU', wanted, have: Math.max(0, ...cards.map(({ memoryMib }) => memoryMib)) };
}

/** What of it is farthest from what is wanted. */
export function largest(missing: readonly Missing[]): Missing | undefined {
  return [...missing].sort((a, b) => b.wanted / Math.max(b.have, 0.001) - a.wanted / Math.max(a.have, 0.001))[0];
}

export function inWords({ name, wanted, have, words }: Missing): string {
  if (words !== undefined) return words;
  const amount = round(wanted);
  return `${amount} ${amount === 1 ? name.replace(/^(core|GPU)s$/, '$1') : name}, of ${round(have)}`;
}

/** Of hosts that will never have it. */
export function inWordsOfNever(missing: Missing): string {
  return missing.words ?? `${inWords(missing)} on the host that comes nearest`;
}

function round(amount: number): number {
  return Math.round(amount * 100) / 100;
}

/** True where it would find too little disk there also once all that is at work there has ended. */
export function waitsInVain({ disk_gib }: JobNeeds, { disk }: JobHost, revision?: string): boolean {
  return disk_gib > diskOnceIdle(disk, revision);
}

/** The host once it has that job. */
export function taking(host: JobHost, granted: Granted, needs: JobNeeds, revision?: string): JobHost {
  const { gpu_count, cpu_cores, memory_gib } = granted;
  const { free, disk, cardsPromised } = host;
  let left = gpu_count;
  const cards = host.cards.map((card) => {
    if (left === 0 || !card.isFree || !isAble(card, needs)) return card;
    left -= 1;
    return { ...card, isFree: false };
  });
  return {
    ...{ ...host, cards, cardsPromised: cardsPromised + gpu_count },
    free: { cpu_cores: free.cpu_cores - cpu_cores, memory_gib: free.memory_gib - memory_gib },
    disk: { ...disk, claims: [...disk.claims, { job: undefined, gib: needs.disk_gib, revision }] },
  };
}

/**
 * Which cards of a host a launch can have now. The allocation says how many its instances are promised; this asks the host
 * which of them are well, and who holds each. Which ones it gets in the end is the host's to choose.
 */
import type { Gpu } from '../../contract/gpus.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import { holdsCards, type Neighbour } from './resource-fit.ts';

/** What a host says of its cards. */
export interface HostCards {
  readonly cards: readonly Gpu[];
  /** Holders that no instance and no job of ours is: somebody ran them on the host itself. */
  readonly strangers: ReadonlySet<string>;
}

type Vendor = Gpu['vendor'];

/** Whose cards an image is made for, by the names that the manifest gives it; undefined for any, or none. */
export function vendorOf({ artifacts }: WorkloadProfile, { name }: Pick<Artifact, 'name'>): Vendor | undefined {
  const vendors = Object.entries(artifacts).flatMap(([key, { artifact_name }]) => {
    const vendor = cardImage(key)?.vendor;
    return artifact_name === name && vendor ? [vendor] : [];
  });
  return new Set(vendors).size === 1 ? vendors[0] : undefined;
}

/** Kinds that every card of a vendor is. */
const families: ReadonlySet<string> = new Set(['cuda', 'rocm']);

/** What the name of an image in a manifest says of cards: `nvidia_h200_image`, `amd_rocm_image`. */
export function cardImage(key: string) {
  const [, vendor, model = ''] = /^(nvidia|amd)_([a-z0-9]+)_image$/.exec(key) ?? [];
  if (vendor === undefined) return undefined;
  return {
    vendor: vendor as Vendor,
    fits: (card: Pick<Gpu, 'vendor' | 'name'>) =>
      card.vendor === vendor &&
      (families.has(model) ||
        card.name
          .toLowerCase()
          .split(/[^a-z0-9]+/)
          .includes(model)),
  };
}

export interface CardFit {
  /** Cards that are there, well and free; of the vendor, where it matters. */
  readonly free: number;
  readonly total: number;
  /** Why each of the others cannot be had, one sentence each. */
  readonly reasons: readonly string[];
}

/**
 * `neighbours` are the other instances of the allocation. What the host says can be older than what they were promised, so
 * promises count that are not held yet, and holders that are gone do not. All `wanted` cards are for one container.
 */
export function fitOf(
  { cards, strangers }: HostCards,
  neighbours: readonly Neighbour[],
  vendor: Vendor | undefined,
  wanted: number,
): CardFit {
  const holders = neighbours.filter(holdsCards);
  const reasons = judgeCards({ cards, strangers }, neighbours, vendor, wanted).flatMap(({ card, reason }) =>
    reason === undefined ? [] : [`${card.uuid} ${reason}.`],
  );
  const isHeldBy = (id: string) => cards.filter(({ held_by }) => held_by === id).length;
  const pending = holders.reduce((sum, { id, resources }) => sum + Math.max(0, resources.gpu_count - isHeldBy(id)), 0);
  const free = Math.max(0, cards.length - reasons.length - pending);
  const promised = pending === 0 ? [] : [`${pending} more are promised to other instances.`];
  return { free, total: cards.length, reasons: [...reasons, ...promised] };
}

/** Each card, with why it cannot be had; undefined where it can. */
export function judgeCards(
  { cards, strangers }: HostCards,
  neighbours: readonly Neighbour[],
  vendor: Vendor | undefined,
  wanted: number,
): { readonly card: Gpu; readonly reason: string | undefined }[] {
  const holders = neighbours.filter(holdsCards);
  return cards.map((card) => ({
    card,
    reason: whyNot(card, strangers, holders, vendor) ?? whyNoPart(card, wanted),
  }));
}

function whyNot(
  { health, reason, held_by: holder, vendor: made }: Gpu,
  strangers: ReadonlySet<string>,
  holders: readonly Neighbour[],
  vendor: Vendor | undefined,
): string | undefined {
  if (vendor !== undefined && made !== vendor) return 'is of another vendor';
  if (health !== 'healthy') return `is not well: ${(reason ?? 'its host does not say why').replace(/\.$/, '')}`;
  const instance = holders.find(({ id }) => id === holder);
  if (instance) return `is held by ${JSON.stringify(instance.display_name)}`;
  return holder !== null && strangers.has(holder) ? 'is held by something that was run on the host itself' : undefined;
}

/** As hosts choose them: a program uses one part of a card at most. */
function whyNoPart({ mig }: Gpu, wanted: number): string | undefined {
  return mig !== null && wanted > 1 ? 'is a part of a card, which serves a launch with one card only' : undefined;
}

/**
 * Who has which card of this host. Exclusive by UUID: a card is never with two workloads at once.
 *
 *   free ──lease──▶ leased ──container made──▶ held ──container removed──▶ release ──▶ free
 *
 * A lease is on the disk before anything is made for it, and the same owner gets the same cards again, so that an agent that
 * was killed in between goes on where it was. What a sealed container's label says is the truth: it makes leases that were
 * lost, and takes those back that nobody stands behind. Stopping a workload keeps its cards; removing it is what frees them.
 *
 * Two containers that hold one card, which only somebody else than this agent can bring about, make it nobody's: it is
 * given to no other workload until one of them is gone.
 */
import { AgentError } from '../contract/failures.ts';
import type { Gpu } from '../contract/gpus.ts';
import { jobKind, labels } from '../contract/names.ts';
import type { Sandbox } from '../contract/workload-oci-launch.ts';
import type { CardLinks } from '../policy/choose-cards.ts';
import { type CardWays, type GivenCards, giveCards, noCards, readCardsLabel } from '../policy/given-cards.ts';
import type { ContainerEngine } from '../runtime/engine.ts';
import { type CardAsk, chooseLeases, type Lease } from './lease-choice.ts';

/** Where leases are kept. Synchronous: what returned is on the disk, and nothing happened in between. */
export interface LeaseStore {
  all(): readonly Lease[];
  /** Replaces all leases of the instance: all or none. */
  replace(instance: string, leases: readonly Lease[]): void;
}

export interface CardInventory {
  /** What can be leased: a card that is cut into parts is not in it, its parts are. */
  readonly gpus: readonly Gpu[];
  readonly links: CardLinks;
  /** Device file of each AMD card, by its UUID. */
  readonly renderNodes: ReadonlyMap<string, string>;
  /** What is wrong with a driver as a whole, one sentence; null if nothing is. */
  readonly reason: string | null;
}

export interface GpuLedgerOptions {
  readonly store: LeaseStore;
  readonly engine: Pick<ContainerEngine, 'list'>;
  /** Looks at the cards; must end by itself where the driver hangs, with a reason. */
  readonly inventory: (signal: AbortSignal) => Promise<CardInventory>;
  /** How this host and its engine hand out cards. */
  readonly ways: (inventory: CardInventory, signal: AbortSignal) => Promise<CardWays>;
  /** Why containers under gVisor get none of these cards, one sentence; undefined where they do. */
  readonly whyNoneInGvisor: (gpus: readonly Gpu[], signal: AbortSignal) => Promise<string | undefined>;
  /** Told once when two containers hold one card, and once when that is over. */
  readonly onConflict?: (conflict: CardConflict) => void;
  /** Told after a card was leased or freed; {@link GpuLedger.describe} says it by then. */
  readonly onChange?: () => void;
}

export interface CardConflict {
  readonly uuid: string;
  /** Instances that hold it; one or none where it is over. */
  readonly instances: readonly string[];
}

/** Whose leases stay though no container holds them. */
export interface Expects {
  /** A task is or will be at work on the instance: it leases before it makes anything, and settles in the end. */
  readonly isAtWork: (instance: string) => boolean;
  /** There should be a container for it: one that is not listed may still run, with a seal that somebody broke. */
  readonly knows: (lease: Lease) => boolean;
}

/** A container of ours as the engine lists it, as far as cards are concerned. */
export interface CardHolder {
  readonly labels: Readonly<Record<string, string>>;
}

export class GpuLedger {
  readonly #options: GpuLedgerOptions;
  readonly #conflicts = new Map<string, readonly string[]>();
  #freed = 0;

  constructor(options: GpuLedgerOptions) {
    this.#options = options;
  }

  /**
   * Leases cards for the containers of an instance, by service; on the disk when it resolves. `gpu.none_free` or
   * `gpu.unhealthy` where there are not enough, `sandbox.no_cards` where gVisor gets none, and then nothing is changed.
   *
   * Cards that an older container of the instance still holds stay leased until {@link GpuLedger.settle}. Nothing is asked
   * of the host where no card is asked for.
   */
  async lease(
    instance: string,
    asks: readonly CardAsk[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string | null, GivenCards>> {
    const none = new Map(asks.map(({ service }) => [service, noCards] as const));
    const wanted = asks.filter(({ count }) => count > 0);
    if (wanted.length === 0) {
      return none;
    }
    const inventory = await this.#options.inventory(signal);
    const { sandbox } = wanted[0] as CardAsk;
    if (sandbox === 'gvisor') await this.#assertForGvisor(inventory, signal);
    await this.#look(signal);
    // From here to the end of `replace` nothing else happens: no two launches choose at once.
    const situation = { instance, cards: this.describe(inventory.gpus), leases: this.#leases() };
    const chosen = chooseLeases(wanted, { ...situation, links: inventory.links, trouble: inventory.reason });
    const leases = [...chosen].flatMap(([service, cards]) => cards.map(({ uuid }) => ({ uuid, instance, service })));
    const taken = new Set(leases.map(({ uuid }) => uuid));
    const kept = this.#leases().filter((lease) => lease.instance === instance && !taken.has(lease.uuid));
    this.#replace(instance, [...leases, ...kept]);

    const ways = await this.#options.ways(inventory, signal);
    return new Map([...none, ...[...chosen].map(([service, cards]) => [service, give(cards, ways, sandbox)] as const)]);
  }

  /** Cards that are leased already, as they are given to one container. */
  async give(uuids: readonly string[], sandbox: Sandbox, signal: AbortSignal): Promise<GivenCards> {
    if (uuids.length === 0) return noCards;
    const inventory = await this.#options.inventory(signal);
    if (sandbox === 'gvisor') await this.#assertForGvisor(inventory, signal);
    const cards = inventory.gpus.filter(({ uuid }) => uuids.includes(uuid));
    return give(cards, await this.#options.ways(inventory, signal), sandbox);
  }

  /** Why containers under gVisor get none of the cards of this host, one sentence; undefined where they do. */
  async whyNoneInGvisor(signal: AbortSignal): Promise<string | undefined> {
    const { gpus } = await this.#options.inventory(signal);
    return await this.#options.whyNoneInGvisor(gpus, signal);
  }

  /**
   * From now on the instance has the cards that these containers hold, which are all of its, and no others. One that another
   * instance has as well stays with that one.
   */
  settle(instance: string, containers: readonly CardHolder[]): void {
    this.#keepHeld(instance, containers);
    this.#freed += 1;
  }

  /** After the containers of the instance were removed, and never before. */
  release(instance: string): void {
    this.settle(instance, []);
  }

  /** Cards of each instance, by UUID. */
  holders(): ReadonlyMap<string, string> {
    return new Map(this.#leases().map(({ uuid, instance }) => [uuid, instance]));
  }

  /** Cards of one instance, sorted. */
  cardsOf(instance: string): string[] {
    const own = this.#leases().filter((lease) => lease.instance === instance);
    return own.map(({ uuid }) => uuid).sort();
  }

  /** All cards of the host as {@link GpuLedger.describe} has them, and what is wrong with their drivers. */
  async cards(signal: AbortSignal): Promise<{ readonly gpus: Gpu[]; readonly reason: string | null }> {
    const { gpus, reason } = await this.#options.inventory(signal);
    return { gpus: this.describe(gpus), reason };
  }

  /** The cards with who holds them, those that two containers hold as unhealthy. */
  describe(gpus: readonly Gpu[]): Gpu[] {
    const holders = this.holders();
    return gpus.map((gpu) => {
      const rivals = this.#conflicts.get(gpu.uuid);
      const held = { ...gpu, held_by: holders.get(gpu.uuid) ?? rivals?.[0] ?? null };
      return rivals ? { ...held, health: 'unhealthy', reason: conflictReason(rivals) } : held;
    });
  }

  /** Changes whenever cards may have been freed: a list of containers that was asked for before may show what is gone. */
  get moment(): number {
    return this.#freed;
  }

  /**
   * Brings leases in line with all containers of ours, listed since `moment`: what a container holds it has, and no more. A
   * lease without its container stays where `expects` says so. A list that is out of date is left alone.
   */
  reconcile(containers: readonly CardHolder[], moment: number, expects: Expects): void {
    if (moment !== this.#freed) {
      return;
    }
    this.#learn(containers);
    const present = new Set(containers.map(({ labels: of }) => partOf(of[labels.instance], holderOf(of))));
    for (const [instance, leases] of Map.groupBy(this.#leases(), (lease) => lease.instance)) {
      if (!expects.isAtWork(instance)) {
        const isGone = ({ service }: Lease) => !present.has(partOf(instance, service));
        this.#keepHeld(
          instance,
          containers,
          leases.filter((lease) => isGone(lease) && expects.knows(lease)),
        );
      }
    }
  }

  async #assertForGvisor({ gpus }: CardInventory, signal: AbortSignal): Promise<void> {
    const reason = await this.#options.whyNoneInGvisor(gpus, signal);
    if (reason !== undefined) throw new AgentError('sandbox.no_cards', { reason });
  }

  #leases(): readonly Lease[] {
    return this.#options.store.all();
  }

  #keepHeld(instance: string, containers: readonly CardHolder[], others: readonly Lease[] = []): void {
    const taken = new Set(this.#leases().flatMap((lease) => (lease.instance === instance ? [] : lease.uuid)));
    const held = leasesOf(containers).filter((lease) => lease.instance === instance && !taken.has(lease.uuid));
    this.#replace(instance, [...new Map([...others, ...held].map((lease) => [lease.uuid, lease])).values()]);
  }

  /** Keeps these leases of the instance in the place of those that it had; nothing is written or told where they are the same. */
  #replace(instance: string, leases: readonly Lease[]): void {
    const before = this.#leases().filter((lease) => lease.instance === instance);
    if (textOf(before) === textOf(leases)) {
      return;
    }
    this.#options.store.replace(instance, leases);
    this.#options.onChange?.();
  }

  /** Learns from the containers as they are now, not as they were before something was freed. */
  async #look(signal: AbortSignal): Promise<void> {
    for (;;) {
      const moment = this.#freed;
      const containers = await this.#options.engine.list(signal);
      if (moment === this.#freed) {
        this.#learn(containers);
        return;
      }
    }
  }

  #learn(containers: readonly CardHolder[]): void {
    const held = leasesOf(containers);
    this.#judge(held);
    const known = new Map(this.#leases().map((lease) => [lease.uuid, lease]));
    const news = held.filter(
      ({ uuid, instance }) => !this.#conflicts.has(uuid) && known.get(uuid)?.instance !== instance,
    );
    for (const lease of news) {
      const rival = known.get(lease.uuid)?.instance;
      if (rival !== undefined) {
        this.#replace(
          rival,
          this.#leases().filter(({ instance, uuid }) => instance === rival && uuid !== lease.uuid),
        );
      }
      const own = this.#leases().filter(({ instance }) => instance === lease.instance);
      this.#replace(lease.instance, [...own, lease]);
    }
  }

  #judge(held: readonly Lease[]): void {
    const byCard = Map.groupBy(held, ({ uuid }) => uuid);
    for (const uuid of new Set([...byCard.keys(), ...this.#conflicts.keys()])) {
      const holders = byCard.get(uuid) ?? [];
      const instances = [...new Set(holders.map(({ instance }) => instance))].sort();
      if (holders.length > 1 !== this.#conflicts.has(uuid)) {
        if (holders.length > 1) {
          this.#conflicts.set(uuid, instances);
        } else {
          this.#conflicts.delete(uuid);
        }
        this.#options.onConflict?.({ uuid, instances });
      }
    }
  }
}

/** Leases that end with this process; what sealed containers hold is learnt from them. */
export function leasesInMemory(): LeaseStore {
  let leases: readonly Lease[] = [];
  return {
    all: () => leases,
    replace: (instance, of) => {
      leases = [...leases.filter((lease) => lease.instance !== instance), ...of];
    },
  };
}

/** One for each card and holder, however many containers of a job show the same. */
function leasesOf(containers: readonly CardHolder[]): Lease[] {
  const leases = containers.flatMap(({ labels: of }) => {
    const holder = { instance: of[labels.instance] ?? '', service: holderOf(of) };
    return readCardsLabel(of[labels.gpus]).map((uuid) => ({ uuid, ...holder }));
  });
  return [...new Map(leases.map((lease) => [JSON.stringify(lease), lease])).values()];
}

/** The service that has the cards; null for a single container, and for a job: its containers have them together. */
function holderOf(of: CardHolder['labels']): string | null {
  return of[labels.kind] === jobKind ? null : (of[labels.service] ?? null);
}

function partOf(instance: string | undefined, service: string | null | undefined): string {
  return JSON.stringify([instance, service ?? null]);
}

function textOf(leases: readonly Lease[]): string {
  return JSON.stringify(leases.map(({ uuid, service }) => [uuid, service]).sort());
}

function conflictReason(instances: readonly string[]): string {
  return `It is held by several containers, of ${instances.join(' and ')}; it is free again when all but one are removed.`;
}

function give(cards: readonly Gpu[], ways: CardWays, sandbox: Sandbox): GivenCards {
  const given = giveCards(cards, ways, sandbox);
  if (given === undefined) {
    const uuids = cards.map(({ uuid }) => uuid).join(', ');
    throw new AgentError('gpu.unhealthy', { reason: `The devices of ${uuids} are not to be found on this host.` });
  }
  return given;
}

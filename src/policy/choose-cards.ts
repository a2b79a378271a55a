/**
 * Which of the free cards a container gets: those that reach each other fastest, and of equal sets the one whose loss
 * hurts the rest least, so that a single card is not taken out of a linked pair. Pure, and the same for the same input.
 *
 * Whole cards go before parts of cards. Nothing is mixed: neither vendors, nor cards with parts. A MIG instance serves a
 * request for one card only, since a CUDA process uses one of them at most.
 */
import type { Gpu } from '../contract/gpus.ts';

/**
 * How cards reach each other, in the words of `nvidia-smi topo -m`: NV4, PIX, PXB, PHB, NODE, SYS; by UUID, in both
 * directions. A pair that is not there counts as the farthest.
 */
export type CardLinks = ReadonlyMap<string, ReadonlyMap<string, string>>;

export type ChoosableCard = Pick<Gpu, 'uuid' | 'vendor' | 'name' | 'memory_mib' | 'mig'>;

/** The cards, ordered by UUID; undefined where there are not enough that go together. */
export function chooseCards<C extends ChoosableCard>(
  free: readonly C[],
  links: CardLinks,
  count: number,
): C[] | undefined {
  const cards = [...free].sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
  const whole = cards.filter(({ mig }) => mig === null);
  for (const vendor of ['nvidia', 'amd']) {
    const pool = whole.filter((card) => card.vendor === vendor);
    if (pool.length >= count) {
      return bestOf(pool, links, count);
    }
  }
  const [part] = cards.filter(({ mig }) => mig !== null).sort((a, b) => b.memory_mib - a.memory_mib);
  return count === 1 && part ? [part] : undefined;
}

/** Beyond this many sets the best one is not searched for but grown, card by card. */
const maxSets = 20_000;

const weights: Readonly<Record<string, number>> = { PIX: 16, PXB: 8, PHB: 4, NODE: 2, SYS: 1 };

/** Every direct link between cards outweighs any way over the PCI bus; an unknown way counts as the longest. */
export function linkWeight(kind: string): number {
  const [, lanes] = /^NV(\d{1,3})$/.exec(kind) ?? [];
  return lanes === undefined ? (weights[kind] ?? 1) : 64 * Math.max(1, Number(lanes));
}

interface Board {
  readonly names: readonly string[];
  readonly weight: (a: number, b: number) => number;
}

interface Score {
  readonly models: number;
  /** What everybody waits for, where all talk to all. */
  readonly weakest: number;
  readonly inside: number;
  /** What is left to those who come later. */
  readonly rest: number;
}

function bestOf<C extends ChoosableCard>(cards: readonly C[], links: CardLinks, count: number): C[] {
  const board = boardOf(cards, links);
  const sets =
    combinations(cards.length, count) <= maxSets ? subsets(cards.length, count) : grownSets(cards.length, count, board);
  let best: { readonly set: readonly number[]; readonly score: Score } | undefined;
  for (const set of sets) {
    const score = scoreOf(set, board);
    if (best === undefined || isBetter(score, best.score)) {
      best = { set: [...set], score };
    }
  }
  return cards.filter((_card, index) => best?.set.includes(index));
}

function boardOf(cards: readonly ChoosableCard[], links: CardLinks): Board {
  const table = cards.map((a) => cards.map((b) => linkWeight(links.get(a.uuid)?.get(b.uuid) ?? 'SYS')));
  return { names: cards.map(({ name }) => name), weight: (a, b) => table[a]?.[b] ?? 1 };
}

function scoreOf(set: readonly number[], { names, weight }: Board): Score {
  const chosen = new Set(set);
  const others = names.keys().filter((index) => !chosen.has(index));
  const inside = pairWeights(set, weight);
  return {
    models: new Set(set.map((index) => names[index])).size,
    weakest: Math.min(...inside),
    inside: sum(inside),
    rest: sum(pairWeights([...others], weight)),
  };
}

function isBetter(a: Score, b: Score): boolean {
  return (b.models - a.models || byAmount(a.weakest, b.weakest) || a.inside - b.inside || a.rest - b.rest) > 0;
}

/** Also where both are infinite: a single card has no weakest link. */
function byAmount(a: number, b: number): number {
  return a === b ? 0 : a - b;
}

function pairWeights(set: readonly number[], weight: Board['weight']): number[] {
  return set.flatMap((a, at) => set.slice(at + 1).map((b) => weight(a, b)));
}

function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0);
}

function combinations(of: number, count: number): number {
  let total = 1;
  for (let each = 1; each <= count; each += 1) {
    total = (total * (of - count + each)) / each;
  }
  return total;
}

/** Every set, in the order of its indices. */
function* subsets(of: number, count: number, from = 0): Generator<number[]> {
  if (count === 0) {
    yield [];
    return;
  }
  for (let first = from; first <= of - count; first += 1) {
    for (const more of subsets(of, count - 1, first + 1)) {
      yield [first, ...more];
    }
  }
}

/** One set for each card to begin with, and each time the card that is linked best to those that are in it. */
function* grownSets(of: number, count: number, { weight }: Board): Generator<number[]> {
  for (let seed = 0; seed < of; seed += 1) {
    const set = [seed];
    while (set.length < count) {
      const gains = Array.from({ length: of }, (_each, card) =>
        set.includes(card) ? -1 : sum(set.map((member) => weight(card, member))),
      );
      set.push(gains.indexOf(Math.max(...gains)));
    }
    yield set;
  }
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CardLinks, chooseCards, linkWeight } from '../../../src/policy/choose-cards.ts';
import { sampleGpu } from '../../support/gpus.ts';

type Link = readonly [one: string, other: string, kind: string];

function linked(...links: readonly Link[]): CardLinks {
  const table = new Map<string, Map<string, string>>();
  for (const [one, other, kind] of links) {
    for (const [from, to] of [[one, other] as const, [other, one] as const]) {
      table.set(from, (table.get(from) ?? new Map<string, string>()).set(to, kind));
    }
  }
  return table;
}

const cards = (...uuids: readonly string[]) => uuids.map((uuid) => sampleGpu({ uuid }));
const chosen = (free: ReturnType<typeof cards>, links: CardLinks, count: number) =>
  chooseCards(free, links, count)?.map(({ uuid }) => uuid);

describe('which cards a container gets', () => {
  it('is the pair with the direct link, wherever it is in the list', () => {
    const links = linked(['GPU-b', 'GPU-d', 'NV4'], ['GPU-a', 'GPU-b', 'PIX'], ['GPU-c', 'GPU-d', 'PHB']);

    expect(chosen(cards('GPU-a', 'GPU-b', 'GPU-c', 'GPU-d'), links, 2)).toEqual(['GPU-b', 'GPU-d']);
  });

  it('takes a single card from outside the linked pairs, and from the weaker pair where there is nothing else', () => {
    const pairs: Link[] = [
      ['GPU-a', 'GPU-b', 'NV12'],
      ['GPU-c', 'GPU-d', 'NV2'],
    ];

    expect(chosen(cards('GPU-a', 'GPU-b', 'GPU-c', 'GPU-d', 'GPU-e'), linked(...pairs), 1)).toEqual(['GPU-e']);
    expect(chosen(cards('GPU-a', 'GPU-b', 'GPU-c', 'GPU-d'), linked(...pairs), 1)).toEqual(['GPU-c']);
  });

  it('looks at the weakest link first: all cards wait for the slowest', () => {
    const links = linked(
      ...[['GPU-a', 'GPU-b', 'NV12'] as const, ['GPU-a', 'GPU-c', 'SYS'] as const, ['GPU-b', 'GPU-c', 'SYS'] as const],
      ...[['GPU-c', 'GPU-d', 'PIX'] as const, ['GPU-c', 'GPU-e', 'PIX'] as const, ['GPU-d', 'GPU-e', 'PIX'] as const],
    );

    expect(chosen(cards('GPU-a', 'GPU-b', 'GPU-c', 'GPU-d', 'GPU-e'), links, 3)).toEqual(['GPU-c', 'GPU-d', 'GPU-e']);
  });

  it('prefers cards of one model to better links', () => {
    const free = [...cards('GPU-a', 'GPU-b'), sampleGpu({ uuid: 'GPU-c', name: 'NVIDIA A100' })];

    expect(chosen(free, linked(['GPU-b', 'GPU-c', 'NV12']), 2)).toEqual(['GPU-a', 'GPU-b']);
  });

  it('never mixes vendors, nor cards with parts of cards', () => {
    const amd = sampleGpu({ uuid: 'GPU-z', vendor: 'amd' });
    const part = sampleGpu({ uuid: 'MIG-a', mig: { parent: 'GPU-x', profile: '1g.10gb' } });

    expect(chosen([...cards('GPU-a'), amd], linked(), 2)).toBeUndefined();
    expect(chosen([...cards('GPU-a'), part], linked(), 2)).toBeUndefined();
    expect(chosen([amd, sampleGpu({ uuid: 'GPU-y', vendor: 'amd' }), ...cards('GPU-a')], linked(), 2)).toEqual([
      ...['GPU-y', 'GPU-z'],
    ]);
  });

  it('gives whole cards before parts, and of parts the largest, one to a workload', () => {
    const parts = ['1g.10gb', '3g.40gb'].map((profile, at) =>
      sampleGpu({ uuid: `MIG-${at}`, memory_mib: (at + 1) * 10_240, mig: { parent: 'GPU-x', profile } }),
    );

    expect(chosen([...parts, ...cards('GPU-a')], linked(), 1)).toEqual(['GPU-a']);
    expect(chosen(parts, linked(), 1)).toEqual(['MIG-1']);
    expect(chosen(parts, linked(), 2)).toBeUndefined();
  });

  it('knows no card where there are too few', () => {
    expect(chosen([], linked(), 1)).toBeUndefined();
    expect(chosen(cards('GPU-a'), linked(), 2)).toBeUndefined();
  });
});

const kinds = ['NV1', 'NV4', 'NV18', 'PIX', 'PXB', 'PHB', 'NODE', 'SYS'];
const host = fc.integer({ min: 1, max: 8 }).chain((size) => {
  const uuids = Array.from({ length: size }, (_each, at) => `GPU-${at}`);
  const pairs = uuids.flatMap((one, at) => uuids.slice(at + 1).map((other) => [one, other] as const));
  return fc.record({
    order: fc.shuffledSubarray(uuids, { minLength: size }),
    kinds: fc.array(fc.constantFrom(...kinds), { minLength: pairs.length, maxLength: pairs.length }),
    pairs: fc.constant(pairs),
    count: fc.integer({ min: 1, max: size }),
  });
});

it('chooses as well as whoever tries every set, the same one in whatever order the cards come', () => {
  fc.assert(
    fc.property(host, ({ order, kinds: of, pairs, count }) => {
      const links = linked(...pairs.map(([one, other], at) => [one, other, of[at] ?? 'SYS'] as const));
      const weigh = (set: readonly string[]) =>
        pairs
          .filter((pair) => pair.every((uuid) => set.includes(uuid)))
          .map(([one, other]) => linkWeight(links.get(one)?.get(other) ?? ''));
      const worth = (set: readonly string[]) => {
        const inside = weigh(set);
        const rest = weigh(order.filter((uuid) => !set.includes(uuid)));
        const total = (weights: readonly number[]) => weights.reduce((sum, weight) => sum + weight, 0);
        return [Math.min(...inside), total(inside), total(rest)];
      };

      const best = chosen(cards(...order), links, count) ?? [];

      expect(best).toHaveLength(count);
      expect(chosen(cards(...order.toReversed()), links, count)).toEqual(best);
      for (const set of setsOf([...order].sort(), count)) {
        expect(compare(worth(best), worth(set))).toBeGreaterThanOrEqual(0);
      }
    }),
    { numRuns: 200 },
  );
});

it('keeps groups of linked cards together where there are too many sets to try them all', () => {
  const uuids = Array.from({ length: 32 }, (_each, at) => `GPU-${String(at).padStart(2, '0')}`);
  // Eight groups of four, each group spread over the list.
  const links = linked(
    ...uuids.flatMap((one, at) =>
      uuids.slice(at + 1).flatMap((other, after) => ((after + 1) % 8 === 0 ? [[one, other, 'NV4'] as const] : [])),
    ),
  );

  const best = chosen(cards(...uuids), links, 16) ?? [];

  expect(best).toHaveLength(16);
  const groups = Map.groupBy(best, (uuid) => Number(uuid.slice('GPU-'.length)) % 8);
  expect([...groups.values()].map(({ length }) => length)).toEqual([4, 4, 4, 4]);
});

function compare(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((value, index) => value !== other[index]);
  return at < 0 ? 0 : (one[at] ?? 0) - (other[at] ?? 0);
}

function setsOf(uuids: readonly string[], count: number): string[][] {
  return count === 0
    ? [[]]
    : uuids.flatMap((first, at) => setsOf(uuids.slice(at + 1), count - 1).map((more) => [first, ...more]));
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GraphStep, placeSteps } from '../../../../src/console/pages/jobs/graph-layout.ts';

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const areApart = (one: Box, other: Box) =>
  one.x + one.width <= other.x ||
  other.x + other.width <= one.x ||
  one.y + one.height <= other.y ||
  other.y + other.height <= one.y;
const isInside = (inner: Box, outer: Box) =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height;
const pairsOf = <T>(all: readonly T[]) =>
  all.flatMap((one, at) => all.slice(at + 1).map((other) => [one, other] as const));

const step = (id: string, group: string, depends_on: readonly string[] = []): GraphStep => ({
  ...{ id, name: id, group, depends_on },
});

/** Any plan: groups in any order, and steps that wait for any that come before them in their group. */
const plans = fc
  .array(fc.record({ group: fc.integer({ min: 0, max: 5 }), waits: fc.array(fc.nat(), { maxLength: 4 }) }), {
    ...{ minLength: 1, maxLength: 128 },
  })
  .map((drawn) =>
    drawn.map(({ group, waits }, at) => {
      const before = drawn.flatMap((other, index) => (index < at && other.group === group ? [`step-${index}`] : []));
      const depends_on = before.length === 0 ? [] : waits.map((wait) => before[wait % before.length] ?? '');
      return step(`step-${at}`, group === 0 ? `op:step-${at}` : `group ${group}`, group === 0 ? [] : depends_on);
    }),
  );
const rooms = fc.integer({ min: 200, max: 1600 });

describe('the drawing of the steps of a job', () => {
  it('has every step once, and nothing overlaps or leaves it, whatever the plan and the room', () => {
    fc.assert(
      fc.property(plans, rooms, (steps, room) => {
        const { steps: placed, groups, ...whole } = placeSteps(steps, room);

        expect(placed.map(({ id }) => id).toSorted()).toEqual(steps.map(({ id }) => id).toSorted());
        expect(pairsOf(placed).every(([one, other]) => areApart(one, other))).toBe(true);
        expect(pairsOf(groups).every(([one, other]) => areApart(one, other))).toBe(true);
        expect(groups.every((group) => isInside(group, { x: 0, y: 0, ...whole }))).toBe(true);
        expect(whole.width).toBeLessThanOrEqual(Math.max(room, 214));
      }),
    );
  });

  it('has each step in its group, below all that it waits for, and a link from each of them', () => {
    fc.assert(
      fc.property(plans, rooms, (steps, room) => {
        const { steps: placed, groups, links } = placeSteps(steps, room);
        const boxOf = new Map<string, Box>([...placed.map((each) => [each.id, each] as const)]);
        const groupOf = new Map<string, Box>(groups.map((each) => [each.name, each]));
        const none = { x: 0, y: 0, width: 0, height: 0 };

        for (const { id, group, depends_on } of steps) {
          const own = boxOf.get(id) ?? none;
          expect(isInside(own, groupOf.get(group) ?? none)).toBe(true);
          for (const before of depends_on) {
            const upper = boxOf.get(before) ?? none;
            expect(upper.y + upper.height).toBeLessThan(own.y);
            expect(links.some(({ from, to, kind }) => kind === 'step' && from === before && to === id)).toBe(true);
          }
        }
      }),
    );
  });

  it('has groups below one another in the order in which they run, and names those that have a name', () => {
    const steps = [step('a', 'first'), step('b', 'op:b'), step('c', 'last'), step('d', 'first')];

    const { groups, links } = placeSteps(steps, 800);

    expect(groups.map(({ title }) => title)).toEqual(['first', null, 'last']);
    expect(groups.toSorted((one, other) => one.y - other.y)).toEqual(groups);
    expect(links.map(({ from, to, kind }) => [from, to, kind])).toEqual([
      ['first', 'op:b', 'group'],
      ['op:b', 'last', 'group'],
    ]);
  });

  it('stands what runs at once side by side where there is room, and below one another where there is none', () => {
    const steps = [step('a', 'work'), step('b', 'work')];
    const [wide, narrow] = [placeSteps(steps, 800), placeSteps(steps, 320)];

    expect(wide.steps[0]?.y).toBe(wide.steps[1]?.y);
    expect(narrow.steps[0]?.x).toBe(narrow.steps[1]?.x);
  });

  it('has an end for steps that wait for one another, and for one that nobody knows', () => {
    const steps = [step('a', 'work', ['b', 'nobody']), step('b', 'work', ['a'])];

    const { steps: placed, links } = placeSteps(steps, 800);

    expect(placed.map(({ id }) => id).toSorted()).toEqual(['a', 'b']);
    expect(links).toHaveLength(1);
  });

  it('of nothing is empty', () => {
    expect(placeSteps([], 500)).toEqual({ width: 0, height: 0, steps: [], groups: [], links: [] });
  });
});

/**
 * The order of ops: groups one after another, and within a group what depends on what. Each answer reads no more of a
 * definition than it takes, so that what is wrong elsewhere is in nobody's way (`sure-parts.ts`).
 */
import { beUnsure, each, ifSure, once } from '../sure-parts.ts';
import type { JobDefinition, Op } from './definition.ts';

export interface OpOrder {
  /** Undefined where no op has that id. */
  readonly opOf: (id: string) => Op | undefined;
  readonly groupOf: (id: string) => string;
  /** Ids that an op waits for, as they are carried out: one that serves others is waited for by them instead. */
  readonly waitsFor: (id: string) => readonly string[];
  /** True if `before` has been ready when `after` starts: its group is earlier, or `after` waits for it, directly or not. */
  readonly precedes: (before: string, after: string) => boolean;
  /** Ops of one group of which each waits for the others, for good; all that is sure of them. */
  readonly cycles: () => readonly (readonly string[])[];
}

type Waits = Map<string, Set<string>>;

/** An op without a group has one of its own. */
export function groupNameOf(op: Op): string {
  return op.execution?.group ?? `op:${op.id}`;
}

export function orderOf({ ops }: JobDefinition): OpOrder {
  const indexes = Array.from({ length: ops.length }, (_, index) => index);
  const at = (index: number) => ops[index] as Op;
  const named = once(() => Map.groupBy(indexes, (index) => ifSure(() => at(index).id)));
  const opOf = (id: string) => {
    const [first, ...others] = named().get(id) ?? [];
    // Of two ops with one name nobody knows which is meant, and one whose name is not known may have any.
    return others.length > 0 || (first === undefined && named().has(undefined))
      ? beUnsure()
      : first === undefined
        ? undefined
        : at(first);
  };
  const groupOf = (id: string) => {
    const op = opOf(id);
    return op ? groupNameOf(op) : '';
  };

  /** Up to the first op whose group nobody knows. */
  const places = once(() => {
    const known = new Map<string, number>();
    for (const index of indexes) {
      const group = ifSure(() => groupNameOf(at(index)));
      if (group === undefined) break;
      if (!known.has(group)) known.set(group, index);
    }
    return known;
  });
  const isEarlier = (group: string, other: string) => {
    const [one = ops.length, two = ops.length] = [places().get(group), places().get(other)];
    return one === two ? beUnsure() : one < two;
  };

  const waitsIn = new Map<string, () => Waits>();
  const waitsOf = (group: string) => {
    const known = waitsIn.get(group) ?? once(() => readWaits(ops.filter((op) => groupNameOf(op) === group)));
    waitsIn.set(group, known);
    return known();
  };
  const reaches = new Map<string, ReadonlySet<string>>();
  const reachOf = (id: string) => {
    const known = reaches.get(id) ?? reach(id, waitsOf(groupOf(id)));
    reaches.set(id, known);
    return known;
  };
  return {
    opOf,
    groupOf,
    waitsFor: (id) => [...(waitsOf(groupOf(id)).get(id) ?? [])],
    precedes: (before, after) => {
      const [one, other] = [groupOf(before), groupOf(after)];
      return one === other ? reachOf(after).has(before) : isEarlier(one, other);
    },
    cycles: () => {
      const waits: Waits = new Map();
      for (const index of indexes) {
        const waited = ifSure(() => at(index).execution?.depends_on) ?? [];
        each(waited, (other) => {
          const { id, execution } = at(index);
          // Of itself, and of another group: that is told where it stands.
          if (other !== id && groupOf(other) === groupOf(id)) {
            addWait(waits, id, other, execution?.stop_if_dependent_stops);
          }
          return [];
        });
      }
      return cyclesIn(waits);
    },
  };
}

function readWaits(ops: readonly Op[]): Waits {
  const waits: Waits = new Map();
  for (const { id, execution } of ops) {
    for (const other of execution?.depends_on ?? []) addWait(waits, id, other, execution?.stop_if_dependent_stops);
  }
  return waits;
}

function addWait(waits: Waits, id: string, other: string, serves = false): void {
  const [waiting, first] = serves ? [other, id] : [id, other];
  waits.set(waiting, (waits.get(waiting) ?? new Set()).add(first));
}

function cyclesIn(waits: Waits): string[][] {
  const reaches = new Map([...waits.keys()].map((id) => [id, reach(id, waits)]));
  const turning = [...waits.keys()].filter((id) => reaches.get(id)?.has(id));
  const cycles = Map.groupBy(turning, (id) => turning.find((one) => one === id || isMutual(reaches, one, id)));
  return [...cycles.values()];
}

function isMutual(reaches: ReadonlyMap<string, ReadonlySet<string>>, one: string, other: string): boolean {
  return (reaches.get(one)?.has(other) && reaches.get(other)?.has(one)) ?? false;
}

/** Everything that is waited for, and what that waits for. */
function reach(id: string, waits: Waits): ReadonlySet<string> {
  const seen = new Set<string>();
  const open = [...(waits.get(id) ?? [])];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...(waits.get(next) ?? []));
  }
  return seen;
}

/** The order of ops: groups one after another, and within a group what depends on what. */
import type { JobDefinition, Op } from './definition.ts';

export interface OpOrder {
  readonly groupOf: (id: string) => string;
  /** In order of first appearance. */
  readonly groups: readonly string[];
  /** Ids that an op waits for, as they are carried out: one that serves others is waited for by them instead. */
  readonly waitsFor: (id: string) => readonly string[];
  /** True if `before` has been ready when `after` starts: its group is earlier, or `after` waits for it, directly or not. */
  readonly precedes: (before: string, after: string) => boolean;
  /** Ops of which each waits for another of them, for good. */
  readonly cycle: readonly string[];
}

/** An op without a group has one of its own. */
export function groupNameOf(op: Op): string {
  return op.execution?.group ?? `op:${op.id}`;
}

export function orderOf({ ops }: JobDefinition): OpOrder {
  const group = new Map(ops.map((op) => [op.id, groupNameOf(op)]));
  const groups = [...new Set(group.values())];
  const waits = new Map<string, Set<string>>(ops.map(({ id }) => [id, new Set()]));
  for (const { id, execution } of ops) {
    for (const other of execution?.depends_on ?? []) {
      const [waiting, first] = execution?.stop_if_dependent_stops ? [other, id] : [id, other];
      waits.get(waiting)?.add(first);
    }
  }
  const before = new Map(ops.map(({ id }) => [id, reach(id, waits)]));
  const place = (id: string) => groups.indexOf(group.get(id) ?? '');
  return {
    groups,
    groupOf: (id) => group.get(id) ?? '',
    waitsFor: (id) => [...(waits.get(id) ?? [])],
    precedes: (first, after) => place(first) < place(after) || (before.get(after)?.has(first) ?? false),
    cycle: ops.map(({ id }) => id).filter((id) => before.get(id)?.has(id)),
  };
}

/** Everything that is waited for, and what that waits for. */
function reach(id: string, waits: ReadonlyMap<string, ReadonlySet<string>>): ReadonlySet<string> {
  const seen = new Set<string>();
  const open = [...(waits.get(id) ?? [])];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...(waits.get(next) ?? []));
  }
  return seen;
}

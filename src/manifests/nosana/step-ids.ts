/** Names of steps: those of the ops where they can be part of the name of a container, and else something like them. */
import { stepIdPattern } from '../../contract/job-values.ts';

/** By id of the op; no two are the same, in whatever case, as they are host names. */
export function stepIds(ops: readonly string[]): ReadonlyMap<string, string> {
  const used = new Set<string>();
  const take = (wish: string) => {
    let id = wish;
    for (let next = 2; used.has(id.toLowerCase()); next += 1) id = `${wish}-${next}`;
    used.add(id.toLowerCase());
    return id;
  };
  const named = new RegExp(stepIdPattern);
  const plain = (op: string) =>
    op
      .replaceAll(/[^a-zA-Z0-9_-]+/g, '-')
      .replace(/^[^a-zA-Z0-9]+/, '')
      .slice(0, 28) || 'op';
  // First those that keep their name, so that no other one takes it.
  const kept = ops.filter((op) => named.test(op)).map((op) => [op, take(op)] as const);
  const made = ops.filter((op) => !named.test(op)).map((op) => [op, take(plain(op))] as const);
  return new Map([...kept, ...made]);
}

/** Names of steps: those of the ops where they can be host names, and else something like them. */
import { serviceNamePattern } from '../../contract/compose-document.ts';

/** By id of the op; no two are the same. */
export function stepIds(ops: readonly string[]): ReadonlyMap<string, string> {
  const used = new Set<string>();
  const take = (wish: string) => {
    let id = wish;
    for (let next = 2; used.has(id); next += 1) id = `${wish}-${next}`;
    used.add(id);
    return id;
  };
  const named = new RegExp(serviceNamePattern);
  // First those that keep their name, so that no other one takes it.
  const kept = ops.filter((op) => named.test(op)).map((op) => [op, take(op)] as const);
  const made = ops.filter((op) => !named.test(op)).map((op) => [op, take(plain(op))] as const);
  return new Map([...kept, ...made]);
}

function plain(op: string): string {
  const words = op
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 28);
  return words.replaceAll(/^-+|-+$/g, '') || 'op';
}

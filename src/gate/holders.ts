/**
 * Whose containers have what. By what these say of themselves, which is enough to know whom to ask for it: what is taken away is refused by the
 * engine as long as anything has it.
 */
import { labels } from '../contract/names.ts';
import type { Labels } from './engine-objects.ts';

/** Ids of jobs, of groups of services and of workloads; null where something has it that is none of ours. */
export type Holders = readonly string[] | null;

/** By thing, those that have it. What nothing has is not in it. */
export function holdersOf<C extends { readonly Labels?: Labels | null }>(
  containers: readonly C[],
  thingsOf: (container: C) => readonly string[],
): ReadonlyMap<string, Holders> {
  const holders = new Map<string, Holders>();
  for (const container of containers) {
    const { [labels.instance]: holder, [labels.seal]: seal } = container.Labels ?? {};
    for (const thing of thingsOf(container)) {
      const before = holders.get(thing);
      const isOurs = before !== null && holder !== undefined && seal !== undefined;
      holders.set(thing, isOurs ? [...new Set([...(before ?? []), holder])] : null);
    }
  }
  return holders;
}

/** As it is told. */
export function useOf(thing: string, holders: ReadonlyMap<string, Holders>) {
  const its = holders.get(thing);
  return { in_use: its !== undefined, ...(its && { held_by: its }) };
}

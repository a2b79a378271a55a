/** What an op exposes, one port at a time. */
import type { RunArgs } from './definition.ts';

type Entry = Extract<NonNullable<RunArgs['expose']>, readonly unknown[]>[number];
type Described = Extract<Entry, { port: unknown }>;
/** Most ports of one op: each has a port of the host. */
export const maxPorts = 64;

export interface ExposedRange {
  /** JSON pointer below `args`. */
  readonly path: string;
  readonly first: number;
  readonly last: number;
  readonly type: Described['type'];
  readonly health_checks: NonNullable<Described['health_checks']>;
}

/** Ports that are written down, and where others are left to a literal. */
export function exposedBy({ expose }: RunArgs): {
  readonly ranges: readonly ExposedRange[];
  readonly later: readonly { readonly path: string; readonly literal: string; readonly chunked: boolean }[];
} {
  const entries = expose === undefined ? [] : Array.isArray(expose) ? expose : [expose];
  const ranges: ExposedRange[] = [];
  const later: { path: string; literal: string; chunked: boolean }[] = [];
  for (const [index, entry] of (entries as readonly Entry[]).entries()) {
    const path = Array.isArray(expose) ? `/expose/${index}` : '/expose';
    if (typeof entry === 'object' && '__spread__' in entry) {
      later.push({ path: `${path}/__spread__`, literal: entry.__spread__, chunked: entry.chunked === true });
      continue;
    }
    const { port, type, health_checks = [] } = typeof entry === 'object' ? entry : ({ port: entry } as Described);
    const at = typeof entry === 'object' ? `${path}/port` : path;
    if (typeof port === 'string' && port.startsWith('%%')) {
      later.push({ path: at, literal: port, chunked: false });
      continue;
    }
    const [first = 0, last = first] = String(port).split('-').map(Number);
    ranges.push({ path: at, first, last, type, health_checks });
  }
  return { ranges, later };
}

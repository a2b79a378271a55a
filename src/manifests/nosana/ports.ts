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
  /** As it is written; a number or a range alone has nothing but its port. */
  readonly described: Described;
}

interface ExposedLater {
  /** JSON pointer below `args`. */
  readonly path: string;
  readonly literal: string;
  readonly chunked: boolean;
}

/** Ports that are written down, and where others are left to a literal. */
export function exposedBy(args: RunArgs): {
  readonly ranges: readonly ExposedRange[];
  readonly later: readonly ExposedLater[];
} {
  const all = exposedIn(args).map((entry) => entry());
  return {
    ranges: all.filter((one) => 'first' in one),
    later: all.filter((one) => 'literal' in one),
  };
}

/** One reader an entry, as any of them may be wrong. */
export function exposedIn({ expose }: RunArgs): (() => ExposedRange | ExposedLater)[] {
  if (!Array.isArray(expose)) {
    return expose === undefined ? [] : [() => exposedAt(expose as Entry, '/expose')];
  }
  return Array.from(
    { length: expose.length },
    (_, index) => () => exposedAt(expose[index] as Entry, `/expose/${index}`),
  );
}

function exposedAt(entry: Entry, path: string): ExposedRange | ExposedLater {
  if (typeof entry === 'object' && '__spread__' in entry) {
    return { path: `${path}/__spread__`, literal: entry.__spread__, chunked: entry.chunked === true };
  }
  const described = typeof entry === 'object' ? entry : ({ port: entry } as Described);
  const { port } = described;
  const at = typeof entry === 'object' ? `${path}/port` : path;
  if (typeof port === 'string' && port.startsWith('%%')) return { path: at, literal: port, chunked: false };
  const [first = 0, last = first] = String(port).split('-').map(Number);
  return { path: at, first, last, described };
}

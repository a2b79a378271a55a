/** Entries as a tree of folders, so that links are followed in as many steps as they have segments. */
import { setImmediate } from 'node:timers/promises';
import type { TarEntry } from './tarball.ts';

export interface Node {
  readonly parent: Node | undefined;
  /** Undefined for the root, and for what is not there. */
  entry: TarEntry | undefined;
  /** None but in folders; of all others it is one, which is never added to. */
  readonly children: Map<string, Node>;
}

/** Segments, of all links on a way: more than any author's have, and few enough for as many links as there may be. */
const maxSegments = 512;
const maxHops = 40;
/** Links before others get their turn. */
const atATime = 32;

const none: Node['children'] = new Map();

export function newNode(parent: Node | undefined, entry: TarEntry | undefined): Node {
  const isFolder = parent === undefined || entry?.type === 'directory';
  return { parent, entry, children: isFolder ? new Map() : none };
}

export function nodeAt(root: Node, path: string): Node | undefined {
  let node: Node | undefined = root;
  for (const segment of path.split('/')) node = node?.children.get(segment);
  return node;
}

/**
 * Goes a path from a folder as the kernel does, with `top` as the highest that can be reached; what is not there is gone through as
 * if it were a folder. Gives where it ends, or why it cannot be gone.
 */
export function follow(top: Node, from: Node, path: string): Node | 'outside' | 'loop' {
  let at = from;
  const ahead = path.split('/').reverse();
  if (path.startsWith('/')) return 'outside';
  for (let segments = ahead.length, hops = 0; ahead.length > 0; ) {
    const segment = ahead.pop() as string;
    if (segment === '' || segment === '.') continue;
    if (segment === '..') {
      if (at === top || at.parent === undefined) return 'outside';
      at = at.parent;
      continue;
    }
    const next = at.children.get(segment) ?? newNode(at, undefined);
    if (next.entry?.type !== 'symlink') {
      at = next;
      continue;
    }
    hops += 1;
    if (hops > maxHops) return 'loop';
    if (next.entry.target.startsWith('/')) return 'outside';
    const further = next.entry.target.split('/').reverse();
    segments += further.length;
    if (segments > maxSegments) return 'loop';
    ahead.push(...further);
  }
  return at;
}

/** Those that are links. All of a stranger's may lead far: whoever follows them leaves others their turn in between. */
export async function* linksOf(entries: readonly TarEntry[]): AsyncGenerator<TarEntry> {
  let count = 0;
  for (const entry of entries) {
    if (entry.type !== 'symlink') continue;
    yield entry;
    count += 1;
    if (count % atATime === 0) await setImmediate();
  }
}

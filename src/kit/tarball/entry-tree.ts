/**
 * What may lie in a folder of a stranger: one set of rules for whoever keeps one and for whoever lays it. Entries are judged one by
 * one as they come, links once all of them are there. What is wrong is no part of the tree, and changes nothing for what comes later:
 * a link that can be gone goes through none that cannot.
 */
import { judgePath, judgeTarget } from './judge-path.ts';
import { linkTrouble, type TarEntry, type TarTrouble } from './tarball.ts';
import { follow, linksOf, type Node, newNode, nodeAt } from './tree.ts';
import { packedSize } from './write-tar.ts';

/** As a reader finds it, judged by nobody. `link` is a hard link: another name of what came before. */
export interface Found {
  readonly path: Uint8Array;
  readonly type: 'file' | 'directory' | 'symlink' | 'link';
  readonly mode: number;
  readonly size: number;
  readonly offset: number;
  readonly target: Uint8Array;
}

export class EntryTree {
  readonly root = newNode(undefined, undefined);
  /** In the order in which they came. */
  readonly entries: TarEntry[] = [];
  /** Of the tar that is made of it, where a hard link is a file of its own. */
  bytes = 0;
  /** Bytes of all paths and targets. */
  names = 0;
  readonly #top: string;
  /** Folders that a path needs and that no entry has named yet. */
  readonly #implied = new Set<TarEntry>();

  /** `top`: what people call the whole, `the tarball`. */
  constructor(top: string) {
    this.#top = top;
  }

  /** What it is from now on, or what is wrong with it. The path comes from `judgePath`, and is not empty. */
  add(path: string, found: Omit<Found, 'path'>): TarEntry | TarTrouble {
    const entry = this.#entryOf(path, found);
    return 'code' in entry ? entry : (this.#place(path.split('/'), entry) ?? entry);
  }

  /** What has this path, itself. */
  at(path: string): TarEntry | undefined {
    return nodeAt(this.root, path)?.entry;
  }

  /** Each link, and what is wrong with it, once all entries are there. */
  async *links(): AsyncGenerator<{ readonly link: TarEntry; readonly trouble: TarTrouble | undefined }> {
    for await (const link of linksOf(this.entries)) {
      const { path } = link;
      const parent = nodeAt(this.root, path)?.parent ?? this.root;
      const found = follow(this.root, parent, path.slice(path.lastIndexOf('/') + 1));
      yield { link, trouble: typeof found === 'string' ? linkTrouble(link, found, this.#top) : undefined };
    }
  }

  #entryOf(path: string, { type, mode, size, offset, target }: Omit<Found, 'path'>): TarEntry | TarTrouble {
    switch (type) {
      case 'directory':
        return directory(path);
      case 'file':
        return { path, type, mode: (mode & 0o100) === 0 ? 0o644 : 0o755, size, offset, target: '' };
      case 'symlink': {
        const judged = judgeTarget(path, target);
        return 'code' in judged ? judged : { path, type, mode: 0o777, size: 0, offset: 0, target: judged.target };
      }
      case 'link':
        return this.#earlier(path, target);
    }
  }

  /** What a hard link is a name of, under its own. */
  #earlier(path: string, target: Uint8Array): TarEntry | TarTrouble {
    const judged = judgePath(target);
    if ('code' in judged) {
      const isOut = judged.code === 'path.absolute' || judged.code === 'path.climbs';
      if (isOut) return linkTrouble({ path, target: judged.path }, 'outside', this.#top);
      return { path, code: judged.code, message: `is a link to a path that ${judged.message}` };
    }
    const entry = this.at(judged.path);
    if (entry && entry.type !== 'directory') return { ...entry, path };
    const message = `is a hard link to no earlier file: ${JSON.stringify(judged.path)}`;
    return { path, code: 'link.missing', message };
  }

  #place(segments: readonly string[], entry: TarEntry): TarTrouble | undefined {
    const name = segments.at(-1) as string;
    const folder = this.#folder(segments, entry.path);
    if ('code' in folder) return folder;
    const there = folder.children.get(name);
    if (there?.entry) return this.#placeAgain(there.entry, entry);
    folder.children.set(name, newNode(folder, entry));
    this.#count(entry);
    return undefined;
  }

  #placeAgain(there: TarEntry, { path, type }: TarEntry): TarTrouble | undefined {
    if (type === 'directory' && this.#implied.delete(there)) return undefined;
    if (this.#implied.has(there)) return { path, code: 'path.taken', message: 'is no folder, and others lie in it' };
    return { path, code: 'path.twice', message: 'comes twice' };
  }

  #folder(segments: readonly string[], path: string): Node | TarTrouble {
    let node = this.root;
    for (const [index, segment] of segments.slice(0, -1).entries()) {
      let next = node.children.get(segment);
      if (!next) {
        const implied = directory(segments.slice(0, index + 1).join('/'));
        next = newNode(node, implied);
        node.children.set(segment, next);
        this.#implied.add(implied);
        this.#count(implied);
      }
      if (next.entry?.type !== 'directory') {
        return { path, code: 'path.taken', message: `lies in ${next.entry?.path}, which is no folder` };
      }
      node = next;
    }
    return node;
  }

  #count(entry: TarEntry): void {
    this.entries.push(entry);
    this.bytes += packedSize(entry);
    this.names += Buffer.byteLength(entry.path) + Buffer.byteLength(entry.target);
  }
}

function directory(path: string): TarEntry {
  return { path, type: 'directory', mode: 0o755, size: 0, offset: 0, target: '' };
}

/** Makes a list of entries of what a reader finds, in the order in which it comes, and keeps what is wrong with it. */
import { judgePath, judgeTarget } from './judge-path.ts';
import {
  type Contents,
  leftOutNames,
  linkTrouble,
  Tarball,
  type TarballLimits,
  TarballRefused,
  type TarEntry,
  type TarTrouble,
} from './tarball.ts';
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

/** Told at once; of more, only how many there are. */
const maxTold = 50;

export class EntryJudge {
  readonly #limits: TarballLimits;
  readonly #leftOutNames: ReadonlySet<string>;
  readonly #root = newNode(undefined, undefined);
  readonly #entries: TarEntry[] = [];
  readonly #told: TarTrouble[] = [];
  readonly #leftOut = { some: [] as string[], count: 0 };
  /** Folders that a path needs and that no entry has named yet. */
  readonly #implied = new Set<TarEntry>();
  #troubles = 0;
  #bytes = 0;
  #names = 0;

  constructor(limits: TarballLimits, leaveOut: ReadonlySet<string> = leftOutNames) {
    this.#limits = limits;
    this.#leftOutNames = leaveOut;
  }

  refuse(trouble: TarTrouble): void {
    this.#troubles += 1;
    if (this.#told.length < maxTold) this.#told.push(trouble);
  }

  /** Throws where nothing may come any more. */
  stop(trouble: TarTrouble): never {
    this.refuse(trouble);
    throw this.#refused();
  }

  /** False if it is refused by its path or left out by its name, and everything below it with it. */
  add(found: Found): boolean {
    const judged = judgePath(found.path);
    if ('code' in judged) {
      this.refuse(judged);
      return false;
    }
    const { path } = judged;
    if (path === '') {
      if (found.type !== 'directory') this.refuse({ path: '.', code: 'path.taken', message: 'is no folder' });
      return true;
    }
    const segments = path.split('/');
    if (segments.some((segment) => this.#leftOutNames.has(segment))) {
      this.#leaveOut(path);
      return false;
    }
    const entry = this.#entryOf(path, found);
    if (entry) this.#place(segments, entry);
    return true;
  }

  /** All of it; throws what was wrong. */
  async finish(open: () => Promise<Contents>): Promise<Tarball> {
    for await (const link of linksOf(this.#entries)) this.#judgeLink(link);
    if (this.#troubles > 0) throw this.#refused();
    const keyed = this.#entries.map((entry) => ({ entry, key: Buffer.from(entry.path) }));
    const sorted = keyed.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ entry }) => entry);
    return new Tarball(this.#root, sorted, this.#leftOut, open);
  }

  #refused(): TarballRefused {
    return new TarballRefused(this.#told, this.#troubles);
  }

  #leaveOut(path: string): void {
    this.#leftOut.count += 1;
    if (this.#leftOut.some.length < 10) this.#leftOut.some.push(path);
  }

  #entryOf(path: string, found: Found): TarEntry | undefined {
    const { type, size, offset } = found;
    switch (type) {
      case 'directory':
        return directory(path);
      case 'file':
        return { path, type, mode: (found.mode & 0o100) === 0 ? 0o644 : 0o755, size, offset, target: '' };
      case 'symlink': {
        const judged = judgeTarget(path, found.target);
        if ('target' in judged) return { path, type, mode: 0o777, size: 0, offset: 0, target: judged.target };
        this.refuse(judged);
        return undefined;
      }
      case 'link':
        return this.#earlier(path, found.target);
    }
  }

  /** What a hard link is a name of, under its own. */
  #earlier(path: string, target: Uint8Array): TarEntry | undefined {
    const judged = judgePath(target);
    if ('code' in judged) {
      const isOut = judged.code === 'path.absolute' || judged.code === 'path.climbs';
      if (isOut) this.refuse(linkTrouble({ path, target: judged.path }, 'outside', 'the tarball'));
      else this.refuse({ path, code: judged.code, message: `is a link to a path that ${judged.message}` });
      return undefined;
    }
    const entry = nodeAt(this.#root, judged.path)?.entry;
    if (entry && entry.type !== 'directory') return { ...entry, path };
    const message = `is a hard link to no earlier file: ${JSON.stringify(judged.path)}`;
    this.refuse({ path, code: 'link.missing', message });
    return undefined;
  }

  #place(segments: readonly string[], entry: TarEntry): void {
    const name = segments.at(-1) as string;
    const folder = this.#folder(segments, entry.path);
    if (!folder) return;
    const there = folder.children.get(name);
    if (there?.entry) {
      this.#placeAgain(there.entry, entry);
      return;
    }
    folder.children.set(name, newNode(folder, entry));
    this.#count(entry);
  }

  #placeAgain(there: TarEntry, entry: TarEntry): void {
    if (entry.type === 'directory' && this.#implied.delete(there)) return;
    const { path } = entry;
    if (this.#implied.has(there))
      this.refuse({ path, code: 'path.taken', message: 'is no folder, and others lie in it' });
    else this.refuse({ path, code: 'path.twice', message: 'comes twice' });
  }

  /** Where it lies; undefined if that is no folder. */
  #folder(segments: readonly string[], path: string): Node | undefined {
    let node = this.#root;
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
        this.refuse({ path, code: 'path.taken', message: `lies in ${next.entry?.path}, which is no folder` });
        return undefined;
      }
      node = next;
    }
    return node;
  }

  #count(entry: TarEntry): void {
    const { bytes, entries, names } = this.#limits;
    this.#entries.push(entry);
    this.#bytes += packedSize(entry);
    this.#names += Buffer.byteLength(entry.path) + Buffer.byteLength(entry.target);
    if (this.#entries.length > entries) this.#tooMuch('archive.too_many', `has more than ${entries} files and folders`);
    if (this.#names > names) this.#tooMuch('archive.too_many', `has paths of more than ${names} bytes together`);
    if (this.#bytes > bytes) this.#tooMuch('archive.too_large', tooLarge(bytes));
  }

  #tooMuch(code: TarTrouble['code'], message: string): never {
    this.stop({ path: '', code, message });
  }

  #judgeLink(entry: TarEntry): void {
    const parent = nodeAt(this.#root, entry.path)?.parent ?? this.#root;
    const found = follow(this.#root, parent, entry.path.slice(entry.path.lastIndexOf('/') + 1));
    if (typeof found === 'string') this.refuse(linkTrouble(entry, found, 'the tarball'));
  }
}

export function tooLarge(bytes: number): string {
  return `is larger than ${(bytes / 1024 ** 3).toFixed(2)} GiB`;
}

function directory(path: string): TarEntry {
  return { path, type: 'directory', mode: 0o755, size: 0, offset: 0, target: '' };
}

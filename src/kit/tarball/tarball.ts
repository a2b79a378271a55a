/**
 * A tar, or a folder, of a stranger, as a list of what is in it. Nothing is ever written by a name of the stranger's: whoever wants
 * the contents gets them as a stream, or as a tar of our own making.
 *
 * The list depends on paths, contents, links and on who may execute only: the same files give the same list whichever program has
 * packed them. Every folder is in it, also one that the tar does not name.
 */
import { follow, linksOf, type Node, nodeAt } from './tree.ts';

export interface TarEntry {
  /** Relative, a `/` between its segments, none at its end. Never empty, never with `.` or `..` as a segment. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink';
  /** 0644, or 0755 for folders and for what its owner may execute; 0777 for links. */
  readonly mode: number;
  /** Bytes of its content; 0 for all but files. */
  readonly size: number;
  /** Where in the tar its content begins; 0 for all but files, and in a folder on the disk. */
  readonly offset: number;
  /** Where a link leads, as its author has written it: never out of the tarball. Empty for all but links. */
  readonly target: string;
}

/** Gives contents of entries; to be closed. */
export interface Contents {
  read(entry: TarEntry): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

export interface TarballLimits {
  /** Bytes of the tar that is made of it: contents and 512 or more for each entry. */
  readonly bytes: number;
  readonly entries: number;
  /** Bytes of all paths and link targets together: they are held in memory. */
  readonly names: number;
  /** Bytes that one byte of gzip may become, once they are more than 64 MiB. */
  readonly ratio: number;
}

export const tarballLimits: TarballLimits = {
  bytes: 2 * 1024 ** 3,
  entries: 50_000,
  names: 8 * 1024 ** 2,
  ratio: 200,
};

/**
 * Names that are left out wherever they are, with what is below them: what a version control, a virtual environment and the
 * interpreter keep beside the files of an author, and no part of any revision.
 */
export const leftOutNames: ReadonlySet<string> = new Set(['.git', '.hg', '.svn', '.venv', '__pycache__', '.DS_Store']);

export type TarTroubleCode =
  | 'archive.compressed'
  | 'archive.damaged'
  | 'archive.ratio'
  | 'archive.too_large'
  | 'archive.too_many'
  | 'archive.truncated'
  | 'entry.changed'
  | 'entry.device'
  | 'entry.fifo'
  | 'entry.header'
  | 'entry.socket'
  | 'entry.sparse'
  | 'entry.unknown'
  | 'ignore.costly'
  | 'ignore.pattern'
  | 'ignore.too_large'
  | 'link.loop'
  | 'link.missing'
  | 'link.outside'
  | 'path.absolute'
  | 'path.backslash'
  | 'path.climbs'
  | 'path.control'
  | 'path.deep'
  | 'path.empty'
  | 'path.encoding'
  | 'path.long'
  | 'path.nul'
  | 'path.taken'
  | 'path.twice';

export interface TarTrouble {
  /** Of the entry, as far as it can be printed; empty where it is about the whole. */
  readonly path: string;
  readonly code: TarTroubleCode;
  /** A clause that goes on after the path: `leads outside the tarball`. */
  readonly message: string;
}

/** Everything that is wrong with a tarball, as far as it was read. */
export class TarballRefused extends Error {
  readonly troubles: readonly TarTrouble[];
  /** Of how many; those that are not told are like the ones that are. */
  readonly count: number;

  constructor(troubles: readonly TarTrouble[], count: number = troubles.length) {
    super(troubles.map(({ path, message }) => (path === '' ? `It ${message}.` : `${path} ${message}.`)).join(' '));
    this.troubles = troubles;
    this.count = count;
  }
}

export function refusedWhole(code: TarTroubleCode, message: string): TarballRefused {
  return new TarballRefused([{ path: '', code, message }]);
}

export class Tarball {
  /** Sorted by the bytes of their paths: a folder comes before what is in it. */
  readonly entries: readonly TarEntry[];
  /** Paths that were left out by their names, a few of them, and how many there were. */
  readonly leftOut: { readonly some: readonly string[]; readonly count: number };
  /** Opens what it was made of, which has to be there still, unchanged. */
  readonly open: () => Promise<Contents>;
  readonly #root: Node;

  constructor(root: Node, entries: readonly TarEntry[], leftOut: Tarball['leftOut'], open: Tarball['open']) {
    this.#root = root;
    this.entries = entries;
    this.leftOut = leftOut;
    this.open = open;
  }

  /** What has this path, itself; undefined for what is not there. */
  get(path: string): TarEntry | undefined {
    return nodeAt(this.#root, path)?.entry;
  }

  /**
   * What is found under this relative path as a program would open it, links followed: `directory` for `.`. Undefined for what is
   * not there, leads outside, or is a link to nothing.
   */
  find(path: string): TarEntry | 'root' | undefined {
    const found = follow(this.#root, this.#root, path);
    return typeof found === 'string' ? undefined : found === this.#root ? 'root' : found.entry;
  }

  /** Links of a folder that lead out of it, or in circles, though not out of the tarball; `''` is the whole. */
  async linksOutOf(folder: string): Promise<TarTrouble[]> {
    const top = folder === '' ? this.#root : nodeAt(this.#root, folder);
    if (top === undefined) return [];
    const troubles: TarTrouble[] = [];
    for await (const entry of linksOf(this.entries)) {
      const node = nodeAt(this.#root, entry.path);
      const isWithin = folder === '' || entry.path.startsWith(`${folder}/`);
      if (!node?.parent || !isWithin) continue;
      const found = follow(top, node.parent, entry.target);
      const where = folder === '' ? 'the tarball' : folder;
      if (typeof found === 'string') troubles.push(linkTrouble(entry, found, where));
    }
    return troubles;
  }
}

export function linkTrouble({ path, target }: Pick<TarEntry, 'path' | 'target'>, why: 'outside' | 'loop', top: string) {
  const to = JSON.stringify(target.slice(0, 200));
  const message =
    why === 'outside' ? `is a link that leads outside ${top}: ${to}` : `is a link that leads in a circle: ${to}`;
  return { path, code: `link.${why}`, message } as const;
}

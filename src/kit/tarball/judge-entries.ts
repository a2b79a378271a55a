/** Makes a list of entries of what a reader finds, in the order in which it comes, and keeps what is wrong with it. */
import { EntryTree, type Found } from './entry-tree.ts';
import { judgePath } from './judge-path.ts';
import {
  type Contents,
  leftOutNames,
  Tarball,
  type TarballLimits,
  TarballRefused,
  type TarTrouble,
} from './tarball.ts';

/** Told at once; of more, only how many there are. */
const maxTold = 50;

export class EntryJudge {
  readonly #limits: TarballLimits;
  readonly #leftOutNames: ReadonlySet<string>;
  readonly #tree = new EntryTree('the tarball');
  readonly #told: TarTrouble[] = [];
  readonly #leftOut = { some: [] as string[], count: 0 };
  #troubles = 0;

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
    if (path.split('/').some((segment) => this.#leftOutNames.has(segment))) {
      this.#leaveOut(path);
      return false;
    }
    const added = this.#tree.add(path, found);
    if ('code' in added) this.refuse(added);
    this.#bound();
    return true;
  }

  /** All of it; throws what was wrong. */
  async finish(open: () => Promise<Contents>): Promise<Tarball> {
    for await (const { trouble } of this.#tree.links()) if (trouble) this.refuse(trouble);
    if (this.#troubles > 0) throw this.#refused();
    const { root, entries } = this.#tree;
    const keyed = entries.map((entry) => ({ entry, key: Buffer.from(entry.path) }));
    const sorted = keyed.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ entry }) => entry);
    return new Tarball(root, sorted, this.#leftOut, open);
  }

  #refused(): TarballRefused {
    return new TarballRefused(this.#told, this.#troubles);
  }

  #leaveOut(path: string): void {
    this.#leftOut.count += 1;
    if (this.#leftOut.some.length < 10) this.#leftOut.some.push(path);
  }

  #bound(): void {
    const { bytes, entries, names } = this.#limits;
    const tree = this.#tree;
    if (tree.entries.length > entries) this.#tooMuch('archive.too_many', `has more than ${entries} files and folders`);
    if (tree.names > names) this.#tooMuch('archive.too_many', `has paths of more than ${names} bytes together`);
    if (tree.bytes > bytes) this.#tooMuch('archive.too_large', tooLarge(bytes));
  }

  #tooMuch(code: TarTrouble['code'], message: string): never {
    this.stop({ path: '', code, message });
  }
}

export function tooLarge(bytes: number): string {
  return `is larger than ${(bytes / 1024 ** 3).toFixed(2)} GiB`;
}

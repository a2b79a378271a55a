/**
 * What of a folder is kept: all that can be laid again, by the rules by which it is laid. A link is known to be one of these when all
 * else is there.
 */
import type { Header } from 'tar-stream';
import { EntryTree } from '../../kit/tarball/entry-tree.ts';
import { judgePath, printed } from '../../kit/tarball/judge-path.ts';
import type { TarEntry, TarTrouble } from '../../kit/tarball/tarball.ts';

export type Kept = Partial<Header> & Pick<Header, 'name'>;

/** Some of the names that were left out, each with the reason, and how many there were. */
export interface LeftOut {
  readonly some: readonly string[];
  readonly count: number;
}

/** Its names are below the folder, without detours. */
export type Judged = Pick<Header, 'name' | 'type' | 'mode' | 'size' | 'linkname'>;

const mostTold = 10;
const places: ReadonlySet<TarTrouble['code']> = new Set(['path.taken', 'path.twice']);

export class FolderJudge {
  readonly #tree = new EntryTree('the folder');
  readonly #some: string[] = [];
  #count = 0;

  /** As an archive would have them. */
  get bytes(): number {
    return this.#tree.bytes;
  }

  get names(): number {
    return this.#tree.names;
  }

  get leftOut(): LeftOut {
    return { some: this.#some, count: this.#count };
  }

  /** The header to write; undefined for what is left out, and for links. `impossible` where nothing can be, or where something is. */
  add({ name, type, mode, size, linkname }: Judged): Kept | 'impossible' | undefined {
    const judged = judgePath(bytesOf(type === 'directory' ? `${name}/` : name));
    if ('code' in judged) return this.#leaveOut(judged);
    if (!this.#isFolder(name.slice(0, Math.max(0, name.lastIndexOf('/'))))) return 'impossible';
    if (type !== 'file' && type !== 'directory' && type !== 'link' && type !== 'symlink') {
      return this.#leaveOut({ path: name, message: type ? `is a ${type}` : 'is of a kind that is not known' });
    }
    // An empty target comes as none.
    const found = { type, mode, size, offset: 0, target: bytesOf(linkname ?? '') };
    const entry = this.#tree.add(judged.path, found);
    if ('code' in entry) return places.has(entry.code) ? 'impossible' : this.#leaveOut(entry);
    if (entry.type === 'symlink') return undefined;
    return type === 'link' ? { ...headerOf(entry), type, size: 0, linkname: linkname as string } : headerOf(entry);
  }

  /** Those that lead to something within the folder, or to nothing there, once all else was added. */
  async *links(): AsyncGenerator<Kept> {
    for await (const { link, trouble } of this.#tree.links()) {
      if (trouble) this.#leaveOut(trouble);
      else yield headerOf(link);
    }
  }

  #isFolder(path: string): boolean {
    return path === '' || this.#tree.at(path)?.type === 'directory';
  }

  #leaveOut({ path, message }: Pick<TarTrouble, 'path' | 'message'>): undefined {
    this.#count += 1;
    if (this.#some.length < mostTold) this.#some.push(`${printed(Buffer.from(path))} ${message}`);
  }
}

/** What was no UTF-8 comes with this in its place, and would be another name. */
const replaced = '\u{fffd}';
const noText = Buffer.from([0xff]);

function bytesOf(text: string): Uint8Array {
  if (!text.includes(replaced)) return Buffer.from(text);
  return Buffer.concat(text.split(replaced).flatMap((part) => [noText, Buffer.from(part)])).subarray(noText.length);
}

function headerOf({ path, type, mode, size, target }: TarEntry): Kept {
  const name = type === 'directory' ? `${path}/` : path;
  const common = { name, type, mode, size, uid: 0, gid: 0, uname: '', gname: '', mtime: new Date(0) };
  return type === 'symlink' ? { ...common, linkname: target } : common;
}

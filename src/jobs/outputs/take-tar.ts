/**
 * Reads what an engine gives out of a container, a tar of one file or folder that a stranger has filled, and writes what is to be
 * kept: a file as it is, a folder as a tar of our own making that depends on nothing but names and contents.
 *
 * Nothing is ever written by a name of the stranger's. What could not be laid again is left out, as devices and the like are. What
 * is larger than allowed is refused by what its header says, before it comes.
 */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { extract, type Header, type Pack, pack } from 'tar-stream';
import { AgentError } from '../../contract/failures.ts';
import { inPieces } from '../../kit/in-pieces.ts';
import { blockBytes, HeaderTrouble, readHeader, readTime } from '../../kit/tarball/read-header.ts';
import type { Archive } from '../../runtime/engine.ts';
import { copyEntry, type Entry, nextEntry, writeEntry } from '../tar-entries.ts';
import { FolderJudge, type LeftOut } from './judge-folder.ts';

export interface TarLimits {
  readonly bytes: number;
  readonly entries: number;
  /** Bytes of all paths and link targets together: they are held until the end. */
  readonly names: number;
  /** When each of its files was last written to at the latest, in milliseconds since 1970; any time if absent. */
  readonly newest?: number | undefined;
}

export interface TakenTar {
  readonly kind: 'file' | 'folder';
  readonly leftOut: LeftOut;
  readonly look: Look;
}

/** What an archive is like from outside: whoever writes to one of its files changes it. */
export interface Look {
  /** Sizes and times of all names. */
  readonly print: string;
}

/** Of a file that is taken as it is. */
export interface FileFacts {
  readonly size: number;
  /** When it was last written to, in milliseconds since 1970. */
  readonly writtenAt: number;
}

/** Takes the next bytes; the chunk is the caller's again when it resolves. */
export type Write = (chunk: Uint8Array) => Promise<void>;

/** Of an archive that has to be unpacked. */
const pieceBytes = 512 * 1024;

type Told = Pick<Header, 'name' | 'size' | 'mtime'> & { readonly type: Header['type'] };

/** What an archive begins with. */
interface First {
  readonly header: Told;
  /** Each chunk is there until the next is asked for. Of what is no file it is nobody's. */
  readonly content: AsyncIterable<Uint8Array>;
}

type Use<T> = (first: First, rest: AsyncIterator<Entry>) => Promise<T>;

/**
 * `onFile` hears of a file before its bytes come. `output.refused` for what is neither file nor folder, is too large, or is no sound tar, `output.unsettled` for what was written to
 * too late, as the first header says that shows it. Fails as `from` and `write` do.
 */
export async function takeTar(
  from: Archive,
  write: Write,
  limits: TarLimits,
  onFile?: (file: FileFacts) => void,
): Promise<TakenTar> {
  return await reading(from, async ({ header, content }, entries) => {
    const { type, name, size } = header;
    const seen = new Seen(limits.newest);
    seen.add(header);
    if (type === 'file') {
      if (size > limits.bytes) throw tooLarge(limits.bytes);
      onFile?.({ size, writtenAt: header.mtime?.getTime() ?? 0 });
      for await (const chunk of content) await write(chunk);
      return { kind: 'file', leftOut: { some: [], count: 0 }, look: seen.look() };
    }
    if (type !== 'directory') throw refused(`It is a ${type}, and no file and no folder.`);
    const leftOut = await folder({ base: plain(name), entries, limits, seen }, write);
    return { kind: 'folder', leftOut, look: seen.look() };
  });
}

/** The same look as that of what was taken, where nothing has changed. Of a file no content is read. */
export async function lookAt(from: Archive): Promise<Look> {
  return await reading(from, async ({ header }, entries) => {
    const seen = new Seen();
    seen.add(header);
    if (header.type === 'file') return seen.look();
    for (let entry = await nextEntry(entries); entry; entry = await nextEntry(entries)) {
      seen.add(entry.header);
      entry.resume();
    }
    return seen.look();
  });
}

/** What its first entry is: `file`, `directory`, `symlink` and the like, and how large. */
export async function firstIn(from: Archive): Promise<{ readonly kind: string; readonly bytes: number }> {
  return await reading(from, async ({ header: { type, size } }) => ({ kind: String(type), bytes: size }));
}

class Seen {
  readonly #hash = createHash('sha256');
  readonly #newest: number;

  constructor(newest = Number.POSITIVE_INFINITY) {
    this.#newest = newest;
  }

  add({ name, type, size, mtime }: Told): void {
    const time = mtime?.getTime() ?? 0;
    if (time > this.#newest) throw new AgentError('output.unsettled');
    this.#hash.update(JSON.stringify([name, type, size, time]));
  }

  look(): Look {
    return { print: this.#hash.digest('hex') };
  }
}

async function reading<T>(from: Archive, use: Use<T>): Promise<T> {
  const bytes = from[Symbol.asyncIterator]();
  try {
    const head = await headOf(bytes);
    const file = plainFile(head);
    if (file) return await use({ header: file, content: contentOf(file, head, bytes) }, nothing);
    return await unpacking(
      inPieces(joined(head, bytes), () => Buffer.allocUnsafeSlow(pieceBytes)),
      use,
    );
  } finally {
    from.destroy();
  }
}

/** A block, and what has come with it; less where there is no more. */
async function headOf(bytes: AsyncIterator<Buffer>): Promise<Buffer> {
  let head = Buffer.alloc(0);
  while (head.length < blockBytes) {
    const { done, value } = await bytes.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  return head;
}

/** The header of a file of which nothing is said before; undefined for everything else, which is nothing to hurry with. */
function plainFile(head: Buffer): Told | undefined {
  const block = head.subarray(0, blockBytes);
  try {
    const header = block.length < blockBytes ? undefined : readHeader(block);
    if (header?.type !== '0') return undefined;
    return { name: String(header.path), type: 'file', size: header.size, mtime: new Date(readTime(block) * 1000) };
  } catch (error) {
    if (error instanceof HeaderTrouble) return undefined;
    throw error;
  }
}

async function* contentOf({ size }: Told, head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer, void> {
  let left = size;
  for (let chunk = head.subarray(blockBytes); ; ) {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (part.length > 0) yield part;
    if (left === 0) return;
    const { done, value } = await rest.next();
    if (done) throw damaged();
    chunk = value;
  }
}

async function* joined(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer, void> {
  yield head;
  yield* { [Symbol.asyncIterator]: () => rest };
}

const nothing: AsyncIterator<Entry> = { next: async () => ({ done: true, value: undefined }) };

async function unpacking<T>(bytes: AsyncIterable<Uint8Array>, use: Use<T>): Promise<T> {
  const from = Readable.from(bytes, { objectMode: false });
  const tar = extract();
  from.once('error', (error) => tar.destroy(error));
  from.pipe(tar as unknown as NodeJS.WritableStream);
  try {
    const entries = tar[Symbol.asyncIterator]();
    const first = await nextEntry(entries);
    if (!first) throw refused('It is a socket, or went just then: the engine gave nothing of it.');
    if (first.header.type !== 'file') first.resume();
    return await use({ header: first.header, content: first as AsyncIterable<Uint8Array> }, entries);
  } catch (error) {
    throw reasonOf(error, from);
  } finally {
    from.destroy();
    tar.destroy();
  }
}

/** What went wrong on the way is its own; everything else that nobody else named is said of the archive. */
function reasonOf(error: unknown, from: Readable): unknown {
  if (from.errored) return from.errored;
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || code === 'STREAM_DESTROYED' ? damaged(error) : error;
}

async function folder(archive: Omit<Repacking, 'ours'>, write: Write): Promise<LeftOut> {
  const ours = pack();
  const writing = async () => {
    for await (const chunk of ours) await write(chunk as Uint8Array);
  };
  try {
    const [leftOut] = await Promise.all([repack({ ...archive, ours }), writing()]);
    return leftOut;
  } finally {
    ours.destroy();
  }
}

interface Repacking {
  readonly base: string;
  readonly entries: AsyncIterator<Entry>;
  readonly ours: Pack;
  readonly limits: TarLimits;
  readonly seen: Seen;
}

async function repack({ base, entries, ours, limits, seen }: Repacking): Promise<LeftOut> {
  const judge = new FolderJudge();
  let bytes = 0;
  for (let count = 1; ; count += 1) {
    const entry = await nextEntry(entries);
    if (!entry) break;
    if (count > limits.entries) throw refused(`It has more than ${limits.entries} files.`);
    const { header } = entry;
    seen.add(header);
    bytes += header.size + 512;
    const kept = judge.add(placed(base, header));
    if (kept === 'impossible') {
      throw refused(`It has ${JSON.stringify(header.name.slice(0, 200))} where nothing can be, or twice.`);
    }
    if (Math.max(bytes, judge.bytes) > limits.bytes) throw tooLarge(limits.bytes);
    if (judge.names > limits.names) throw refused('The names of its files are too long together.');
    if (kept) await copyEntry(ours, kept, entry);
    else entry.resume();
  }
  for await (const link of judge.links()) await writeEntry(ours, link);
  ours.finalize();
  return judge.leftOut;
}

/** As its header says, by names below the folder. */
function placed(base: string, header: Header): Header {
  const { name, type, linkname } = header;
  const target = type === 'link' ? within(base, linkname) : linkname;
  return { ...header, name: within(base, name), linkname: target };
}

/** As it is written without a slash at its end, and without detours. */
function plain(name: string): string {
  return posix.normalize(name).replace(/\/$/, '');
}

/** A name of the archive, below its first folder. */
function within(base: string, given: string): string {
  const name = plain(given);
  const inside = base === '.' ? name : name.startsWith(`${base}/`) ? name.slice(base.length + 1) : '..';
  if (climbs(inside) || inside === '.' || inside.startsWith('/') || inside.length > 4096 || inside.includes('\0')) {
    throw refused(`It has ${JSON.stringify(given.slice(0, 200))}, which is not within it.`);
  }
  return inside;
}

function climbs(path: string): boolean {
  return path === '..' || path.startsWith('../');
}

function tooLarge(bytes: number): AgentError {
  return refused(`It is larger than ${(bytes / 2 ** 30).toFixed(2)} GiB.`);
}

function damaged(cause?: unknown): AgentError {
  return refused('The archive is damaged.', cause);
}

function refused(reason: string, cause?: unknown): AgentError {
  return new AgentError('output.refused', { reason }, { cause });
}

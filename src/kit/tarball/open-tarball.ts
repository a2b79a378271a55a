/**
 * Reads the list of what is in a tar on the disk, header by header: contents stay where they are. Gzip is unpacked first, into a file
 * beside it with a name of the caller's.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { asItIs, type Passing } from '../passing.ts';
import type { Found } from './entry-tree.ts';
import { EntryJudge, tooLarge } from './judge-entries.ts';
import { printed } from './judge-path.ts';
import {
  blockBytes,
  type Header,
  HeaderTrouble,
  isZero,
  type Overrides,
  readHeader,
  readLongName,
  readPax,
} from './read-header.ts';
import {
  type Contents,
  refusedWhole,
  type Tarball,
  type TarballLimits,
  type TarEntry,
  tarballLimits,
} from './tarball.ts';

const chunkBytes = 128 * 1024;
/** Of one header before another: names and what programs keep beside them. */
const mostOverrides = 256 * 1024;
/** Of all of them, for each byte that names may have: what is in them is gone through, and kept by nobody. */
const overridesToNames = 8;
/** Of all headers, for each entry that there may be: those before others, and those of what is left out. */
const headersToEntries = 10;
const eightGiB = 8 * 1024 ** 3;

export interface TarballFile {
  /** A tar, or one in gzip. */
  readonly file: string;
  /** Where the tar is put that comes out of gzip; nothing is there yet. Its removal is the caller's. */
  readonly spool: string;
  readonly limits?: TarballLimits;
  /** What its bytes go through before they are put there. */
  readonly passing?: Passing | undefined;
  /** Names of what is not taken, with what is below it; `leftOutNames` unless it is said. */
  readonly leaveOut?: ReadonlySet<string> | undefined;
}

/**
 * Throws `TarballRefused` for everything that a stranger's tarball must not be, with all that is wrong as far as it can be read;
 * nothing was written then. Reads through handles that are closed when this resolves.
 */
export async function openTarball({
  file,
  spool,
  limits = tarballLimits,
  passing = asItIs,
  leaveOut,
}: TarballFile): Promise<Tarball> {
  const isPacked = await isGzip(file);
  if (isPacked) await unpack(file, spool, limits, passing);
  const tar = isPacked ? spool : file;
  try {
    return await readList(tar, limits, leaveOut);
  } catch (error) {
    if (isPacked) await rm(spool, { force: true });
    throw error;
  }
}

const magics = [
  ['bzip2', Buffer.from('BZh')],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
  ['lz4', Buffer.from([0x04, 0x22, 0x4d, 0x18])],
  ['zip', Buffer.from([0x50, 0x4b, 0x03, 0x04])],
] as const;

async function isGzip(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const begin = Buffer.alloc(262);
    await handle.read(begin, 0, begin.length, 0);
    // The first bytes of a tar are a name.
    if (begin.toString('latin1', 257) === 'ustar') return false;
    const other = magics.find(([, magic]) => begin.subarray(0, magic.length).equals(magic));
    if (other)
      throw refusedWhole('archive.compressed', `is packed by ${other[0]}: only a plain tar and gzip are taken`);
    return begin[0] === 0x1f && begin[1] === 0x8b;
  } finally {
    await handle.close();
  }
}

/** So much is unpacked whatever the ratio: what is small packs well. */
const freeBytes = 64 * 1024 ** 2;

async function unpack(file: string, spool: string, { bytes, ratio }: TarballLimits, passing: Passing): Promise<void> {
  const source = createReadStream(file);
  const gunzip = createGunzip();
  let total = 0;
  const bounded = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      total += chunk.length;
      // A tar may be longer than what is made of it: times, owners, and zeros at its end.
      if (total > bytes * 1.25 + freeBytes) throw refusedWhole('archive.too_large', tooLarge(bytes));
      if (total > freeBytes && total > ratio * gunzip.bytesWritten) {
        throw refusedWhole('archive.ratio', `unpacks to more than ${ratio} times its size`);
      }
      yield chunk;
    }
  };
  const target = createWriteStream(spool, { flags: 'wx', mode: 0o600 });
  let isOurs = false;
  target.once('open', () => {
    isOurs = true;
  });
  try {
    await pipeline(source, gunzip, bounded, passing, target);
    if (gunzip.bytesWritten < source.bytesRead)
      throw refusedWhole('archive.damaged', 'goes on behind the end of its gzip');
  } catch (error) {
    if (isOurs) await rm(spool, { force: true });
    throw asRefusal(error);
  }
}

function asRefusal(error: unknown): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR') return refusedWhole('archive.truncated', 'ends in the middle of its gzip');
  return code.startsWith('Z_') ? refusedWhole('archive.damaged', 'is no sound gzip') : error;
}

async function readList(
  file: string,
  limits: TarballLimits,
  leaveOut: ReadonlySet<string> | undefined,
): Promise<Tarball> {
  const handle = await open(file);
  try {
    const reader = new Blocks(handle, (await handle.stat()).size);
    const judge = new EntryJudge(limits, leaveOut);
    await new Listing(reader, judge, limits).read();
    return await judge.finish(() => openContents(file));
  } finally {
    await handle.close();
  }
}

/** Goes through headers; what they are about is passed over. */
class Listing {
  readonly #blocks: Blocks;
  readonly #judge: EntryJudge;
  readonly #limits: TarballLimits;
  /** For the next entry, from the headers before it. */
  #overrides: Overrides | undefined;
  #overrideBytes = 0;

  constructor(blocks: Blocks, judge: EntryJudge, limits: TarballLimits) {
    this.#blocks = blocks;
    this.#judge = judge;
    this.#limits = limits;
  }

  async read(): Promise<void> {
    const most = headersToEntries * this.#limits.entries;
    for (let count = 1; ; count += 1) {
      const header = await this.#header();
      if (!header) break;
      if (count > most) this.#tooMuch(`has more than ${most} headers, those of what is left out among them`);
      await this.#take(header);
    }
    if (this.#overrides) this.#damaged('', 'ends behind a header of a file that does not come');
    await this.#toTheEnd();
  }

  async #header(): Promise<Header | undefined> {
    const at = this.#blocks.position;
    const block = await this.#blocks.take(blockBytes);
    if (!block) return at === 0 ? this.#damaged('', 'is no tar') : this.#truncated('');
    try {
      return readHeader(block);
    } catch (error) {
      if (!(error instanceof HeaderTrouble)) throw error;
      if (at === 0) this.#damaged('', 'is no tar');
      return this.#damaged(printed(block.subarray(0, 100)), error.message);
    }
  }

  async #take(header: Header): Promise<void> {
    switch (header.type) {
      case 'x':
      case 'g':
      case 'L':
      case 'K':
        await this.#override(header);
        return;
      default:
        this.#entry(header, this.#overrides ?? {});
        this.#overrides = undefined;
    }
  }

  async #override(header: Header): Promise<void> {
    const { type, size } = header;
    if (size > mostOverrides) this.#damaged('', `has a header of more than ${mostOverrides} bytes`);
    const most = overridesToNames * this.#limits.names;
    this.#overrideBytes += size;
    if (this.#overrideBytes > most) this.#tooMuch(`has headers before others of more than ${most} bytes together`);
    const body = await this.#blocks.take(size);
    if (!body || !this.#blocks.pass(padOf(size))) this.#truncated('');
    try {
      const said =
        type === 'L' ? { path: readLongName(body) } : type === 'K' ? { target: readLongName(body) } : undefined;
      const found = said ?? readPax(body, type === 'g');
      if (type === 'g') return;
      const twice = Object.keys(found).find((key) => this.#overrides && key in this.#overrides);
      if (twice) throw new HeaderTrouble(`has two headers with the ${twice} of one file`);
      this.#overrides = { ...this.#overrides, ...found };
    } catch (error) {
      if (!(error instanceof HeaderTrouble)) throw error;
      this.#damaged('', error.message);
    }
  }

  #entry(header: Header, overrides: Overrides): void {
    const path = overrides.path ?? header.path;
    const size = overrides.size ?? header.size;
    const offset = this.#blocks.position;
    // Old programs have no other way to say that it is a folder.
    const type = header.type === '0' && path.at(-1) === 0x2f ? 'directory' : types[header.type];
    const name = printed(path);
    if (overrides.size !== undefined && overrides.size < eightGiB && overrides.size !== header.size) {
      this.#damaged(name, 'has two sizes');
    }
    if (type === undefined) {
      this.#judge.refuse({ path: name, ...(odd[header.type as keyof typeof odd] ?? unknown(header.type)) });
      // Whether content follows is anybody's guess, but for what has none.
      if (size > 0) this.#damaged(name, 'cannot be passed over');
      return;
    }
    if (type !== 'file' && size > 0) this.#damaged(name, 'has content and is no file');
    // Judged before it is looked for: what is too large is told as that.
    this.#judge.add({ path, type, mode: header.mode, size, offset, target: overrides.target ?? header.target });
    if (!this.#blocks.pass(size + padOf(size))) this.#truncated(name);
  }

  /** A second block of zeros, and zeros only. */
  async #toTheEnd(): Promise<void> {
    const second = await this.#blocks.take(blockBytes);
    if (!second) this.#truncated('');
    if (!isZero(second)) this.#damaged('', 'goes on behind its end');
    for (let chunk = await this.#blocks.rest(); chunk.length > 0; chunk = await this.#blocks.rest()) {
      if (!isZero(chunk)) this.#damaged('', 'goes on behind its end');
    }
  }

  #damaged(path: string, message: string): never {
    this.#judge.stop({ path, code: path === '' ? 'archive.damaged' : 'entry.header', message });
  }

  #tooMuch(message: string): never {
    this.#judge.stop({ path: '', code: 'archive.too_many', message });
  }

  #truncated(path: string): never {
    this.#judge.stop({ path, code: 'archive.truncated', message: path === '' ? 'ends in the middle' : 'is cut' });
  }
}

const types: Readonly<Record<string, Found['type']>> = { 0: 'file', 1: 'link', 2: 'symlink', 5: 'directory' };

const odd = {
  3: { code: 'entry.device', message: 'is a device' },
  4: { code: 'entry.device', message: 'is a device' },
  6: { code: 'entry.fifo', message: 'is a named pipe' },
  S: { code: 'entry.sparse', message: 'is packed with holes: pack it without --sparse' },
} as const;

function unknown(type: string) {
  return { code: 'entry.unknown', message: `is of a kind that is not known: ${JSON.stringify(type)}` } as const;
}

/** Hands out a file piece by piece, with few reads for many small pieces. */
class Blocks {
  position = 0;
  readonly #handle: FileHandle;
  readonly #size: number;
  #window = Buffer.alloc(0);
  #windowAt = 0;

  constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.#size = size;
  }

  /** Undefined where the file ends before. */
  async take(length: number): Promise<Buffer | undefined> {
    if (this.position + length > this.#size) return undefined;
    const isHere = this.position >= this.#windowAt && this.position + length <= this.#windowAt + this.#window.length;
    if (!isHere) await this.#load(Math.max(length, chunkBytes));
    const from = this.position - this.#windowAt;
    if (from + length > this.#window.length) return undefined;
    this.position += length;
    return this.#window.subarray(from, from + length);
  }

  /** False where the file ends before. */
  pass(length: number): boolean {
    this.position += length;
    return this.position <= this.#size;
  }

  /** The next piece of what is left; empty at the end. */
  async rest(): Promise<Buffer> {
    return (await this.take(Math.min(chunkBytes, this.#size - this.position))) ?? Buffer.alloc(0);
  }

  async #load(length: number): Promise<void> {
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await this.#handle.read(buffer, 0, length, this.position);
    this.#window = buffer.subarray(0, bytesRead);
    this.#windowAt = this.position;
  }
}

async function openContents(file: string): Promise<Contents> {
  const handle = await open(file);
  return {
    read: (entry) => readRange(handle, entry),
    close: () => handle.close(),
  };
}

async function* readRange(handle: FileHandle, { path, offset, size }: TarEntry): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < size; ) {
    const length = Math.min(chunkBytes, size - done);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, offset + done);
    if (bytesRead === 0) throw refusedWhole('archive.truncated', `has become shorter: ${path} is cut`);
    yield buffer.subarray(0, bytesRead);
    done += bytesRead;
  }
}

function padOf(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}

/**
 * Files that come in one piece or in several, each behind what is there: `<folder>/<group>/<name>`. A file has its name only once
 * it was the very one that was announced; until then it is `.<name>.part`. It is hashed as it comes, and read once more at its
 * end only where that was interrupted.
 *
 * A piece that is cut, or for which there is no room, leaves what was there before it. Each is brought to the disk while the next
 * one comes: where a power cut takes some of a part, its hash at the end is another one, and it comes again. A file of which no hash
 * was announced is brought there before each answer.
 */

import { createHash, type Hash } from 'node:crypto';
import { type BigIntStats, type Stats, statSync } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat, statfs, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { AgentError } from '../../contract/failures.ts';
import { DirectFile, pageBuffer } from '../../kit/direct-file.ts';
import { isDiskFull } from '../../kit/disk-full.ts';
import { moveDurable, syncFile } from '../../kit/durable.ts';
import { inPieces } from '../../kit/in-pieces.ts';
import { measureFile } from '../../kit/measure-file.ts';
import { KeyedMutex } from '../../kit/mutex.ts';
import { namesIn } from '../../kit/names-in.ts';
import { checkEach, type Passing } from '../../kit/passing.ts';

/** A file that was announced. Group and name are no paths: whoever takes them from a stranger has judged them. */
export interface AnnouncedFile {
  readonly group: string;
  readonly name: string;
  readonly size: number;
  /** True if `judge` knows its hash. */
  readonly isHashed: boolean;
  /** Throws if what came is another one. */
  judge(measured: { readonly size: number; readonly sha256: string }): void;
  /** What is thrown where more comes than was announced. */
  tooLong(): AgentError;
}

/** Of a part whose last piece came in this life. */
interface Known {
  /** Of all of it, as it came. */
  readonly hash: Hash | undefined;
  /** How it was left. */
  readonly stamp: string;
  /** Rejects where it cannot be brought to the disk. */
  readonly synced: Promise<void>;
}

/** Or a twentieth of a small disk: files never take it from the store. */
const reserveBytes = 2 ** 30;
const writtenAtOnce = 512 * 1024;
/** Written between two looks at what is left of the disk, by each that writes: little of the reserve. */
const lookBytes = 4 * 2 ** 20;

export class PieceFiles {
  readonly folder: string;
  readonly #what: string;
  readonly #atWork = new KeyedMutex();
  /** By the path: a part that is not here, or was touched since, is read once more at its end. */
  readonly #known = new Map<string, Known>();

  /** `folder` is made when the first file comes; `what` is said of the files where there is no room for them. */
  constructor(folder: string, what: string) {
    this.folder = folder;
    this.#what = what;
  }

  isWhole({ group, name, size }: Pick<AnnouncedFile, 'group' | 'name' | 'size'>): boolean {
    return statsOf(this.#pathOf(group, name))?.size === size;
  }

  /** Bytes of it that are here; all of them only if it is whole: of one that nobody has judged yet, the last is asked for again. */
  received(file: Pick<AnnouncedFile, 'group' | 'name' | 'size'>): number {
    if (this.isWhole(file)) return file.size;
    return Math.max(0, Math.min(statsOf(this.#partOf(file.group, file.name))?.size ?? 0, file.size - 1));
  }

  /**
   * Takes a piece that begins at `offset`, which is what `received` says, or 0 to begin anew; its chunks are nobody else's. True if the
   * file is whole with it. `resource.conflict` for another offset, `disk.full`, and what the file itself throws; one that is whole stays as it is.
   */
  async take(file: AnnouncedFile, offset: number, piece: Readable): Promise<boolean> {
    return await this.#alone(file.group, file.name, async () => {
      if (this.isWhole(file)) {
        for await (const _ of piece);
        return true;
      }
      return await this.#append(file, offset, piece);
    });
  }

  /**
   * Gives its name to a file that was written beside, whose bytes are on the disk already, and waits until `known` has said so: nobody
   * removes it in between.
   */
  async adopt(from: string, { group, name }: Pick<AnnouncedFile, 'group' | 'name'>, known: () => Promise<void>) {
    await this.#alone(group, name, async () => {
      moveDurable(from, this.#pathOf(group, name));
      await known();
    });
  }

  /**
   * What is there of a file is there of another one from now on, unless that has as much: for one that is known by another name by now.
   * Nobody waits for the first with the second in hand.
   */
  async becomes(from: Pick<AnnouncedFile, 'group' | 'name'>, to: Pick<AnnouncedFile, 'group' | 'name' | 'size'>) {
    const [part, target] = [this.#partOf(from.group, from.name), this.#partOf(to.group, to.name)];
    const sizeOf = (path: string) => statsOf(path)?.size ?? 0;
    const move = async () => {
      const known = this.#known.get(part);
      this.#known.delete(part);
      if (this.isWhole(to) || sizeOf(part) <= sizeOf(target)) return await rm(part, { force: true });
      const hash = known?.stamp === stampOf(part) ? known.hash : undefined;
      await rename(part, target);
      this.#known.set(target, { hash, stamp: stampOf(target), synced: known?.synced ?? Promise.resolve() });
    };
    await this.#alone(to.group, to.name, async () => await this.#alone(from.group, from.name, move));
  }

  /** `disk.full` where what else is on this disk would not keep its room. */
  async assertRoom(file?: string): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const { bavail, blocks, bsize } = await statfs(this.folder);
    if (bavail * bsize >= Math.min(reserveBytes, (blocks * bsize) / 20)) return;
    const reason = `The disk of the control plane has no room for ${this.#what}.`;
    throw new AgentError('disk.full', { reason, ...(file !== undefined && { file }) });
  }

  /** As it comes, as long as there is room; fails like `assertRoom`. */
  whileRoom(chunks: AsyncIterable<Buffer>, file?: string): AsyncIterable<Buffer> {
    return checkEach(lookBytes, () => this.assertRoom(file), chunks);
  }

  /** The file, open for reading; undefined where it is not whole. */
  async open(file: Pick<AnnouncedFile, 'group' | 'name' | 'size'>): Promise<FileHandle | undefined> {
    return this.isWhole(file) ? await open(this.#pathOf(file.group, file.name)) : undefined;
  }

  /** Takes a file away, whole or not, unless somebody wants it after all. */
  async remove(group: string, name: string, isWanted: () => Promise<boolean>): Promise<void> {
    await this.#alone(group, name, async () => {
      if (await isWanted()) return;
      await rm(this.#pathOf(group, name), { force: true });
      await rm(this.#partOf(group, name), { force: true });
      this.#known.delete(this.#partOf(group, name));
    });
  }

  async removeGroup(group: string): Promise<void> {
    await rm(join(this.folder, group), { recursive: true, force: true });
    for (const part of this.#known.keys()) {
      if (part.startsWith(`${join(this.folder, group)}/`)) this.#known.delete(part);
    }
  }

  /** Everything that lies there, whole or not, and when it was last written, in milliseconds since 1970. */
  async *all(): AsyncGenerator<{ readonly group: string; readonly name: string; readonly writtenAt: number }> {
    for (const group of await namesIn(this.folder)) {
      for (const entry of await namesIn(join(this.folder, group))) {
        const stats = await stat(join(this.folder, group, entry)).catch(() => undefined);
        if (stats) yield { group, name: entry.replace(/^\.(.*)\.part$/, '$1'), writtenAt: stats.mtimeMs };
      }
    }
  }

  #alone<T>(group: string, name: string, work: () => Promise<T>): Promise<T> {
    return this.#atWork.run(`${group}/${name}`, work);
  }

  async #append(file: AnnouncedFile, offset: number, piece: Readable): Promise<boolean> {
    const { group, name, size } = file;
    const part = this.#partOf(group, name);
    const there = this.received(file);
    if (offset !== there && offset !== 0) {
      throw new AgentError('resource.conflict', { reason: `${name} goes on at ${there}, not at ${offset}.` });
    }
    await this.assertRoom(name);
    await mkdir(join(this.folder, group), { recursive: true, mode: 0o700 });
    // Cut while it waited: what is there stays.
    if (piece.destroyed) throw new AgentError('server.busy', { reason: 'The connection of the piece is gone.' });
    const { hash, synced } = this.#goOn(part, offset);
    try {
      if (offset > 0 && statsOf(part)?.size !== offset) await truncate(part, offset);
      const passing: Passing = (chunks) => this.whileRoom(chunks, name);
      await write(piece, { file, part, offset, hash, passing });
      await synced;
      if (statsOf(part)?.size === size) await syncFile(part);
    } catch (error) {
      const isThere = await synced.then(
        () => true,
        () => false,
      );
      if (offset === 0 || !isThere) await rm(part, { force: true });
      else await truncate(part, offset).catch(() => rm(part, { force: true }));
      throw asFailure(error, name);
    }
    const now = statsOf(part)?.size ?? 0;
    if (now < size) {
      if (!file.isHashed) await syncFile(part);
      const synced = file.isHashed ? begun(syncFile(part)) : Promise.resolve();
      this.#known.set(part, { hash, stamp: stampOf(part), synced });
      return false;
    }
    await this.#accept(file, part, hash && { size: now, sha256: hash.digest('hex') });
    return true;
  }

  /**
   * What a piece goes on with. The hash is undefined where it is not that of all before: it was begun in another life, or written to by
   * somebody else, or a piece of it was cut.
   */
  #goOn(part: string, offset: number): Pick<Known, 'hash' | 'synced'> {
    const known = this.#known.get(part);
    this.#known.delete(part);
    if (offset === 0 || !known)
      return { hash: offset === 0 ? createHash('sha256') : undefined, synced: Promise.resolve() };
    const isAsLeft = statsOf(part)?.size === offset && stampOf(part) === known.stamp;
    return { hash: isAsLeft ? known.hash : undefined, synced: known.synced };
  }

  /** By what was hashed as it came, if that is all of it, and else by what lies on the disk, whoever wrote it and when. */
  async #accept(file: AnnouncedFile, part: string, hashed: { size: number; sha256: string } | undefined) {
    const measured = hashed ?? (await measureFile(part));
    try {
      file.judge(measured);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
    moveDurable(part, this.#pathOf(file.group, file.name));
  }

  #pathOf(group: string, name: string): string {
    return join(this.folder, group, name);
  }

  /** No file has such a name. */
  #partOf(group: string, name: string): string {
    return join(this.folder, group, `.${name}.part`);
  }
}

/** Undefined for what is not there, and for what is no file. */
function statsOf(path: string): Stats | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats?.isFile() ? stats : undefined;
}

/** What is waited for later. */
function begun(work: Promise<void>): Promise<void> {
  work.catch(() => undefined);
  return work;
}

/** Changes with every write to a file, and is another one for another file. */
function stampOf(path: string): string {
  const stats: BigIntStats | undefined = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats ? `${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}` : '';
}

interface Writing {
  readonly file: AnnouncedFile;
  readonly part: string;
  readonly offset: number;
  readonly hash: Hash | undefined;
  readonly passing: Passing;
}

/** Resolves when all of the piece is in the file, and in the hash. What comes next is taken while what came before is written. */
async function write(piece: Readable, { file, part, offset, hash, passing }: Writing): Promise<void> {
  const target = await DirectFile.open(part, offset, file.size);
  // One is written while the other is filled.
  const buffers = [pageBuffer(writtenAtOnce), pageBuffer(writtenAtOnce)] as const;
  let turn = 0;
  const next = () => {
    turn = 1 - turn;
    return buffers[turn] as Buffer;
  };
  let writing = Promise.resolve();
  try {
    let left = file.size - offset;
    // The request outlives what is wrong with it: its answer is on the same connection.
    const chunks = givenBack(piece.iterator({ destroyOnReturn: false }));
    for await (const bytes of passing(inPieces(chunks, next))) {
      left -= bytes.length;
      if (left < 0) throw file.tooLong();
      hash?.update(bytes);
      await writing;
      writing = target.append(bytes);
      // Told with the next.
      writing.catch(() => undefined);
    }
    await writing;
  } finally {
    await writing.catch(() => undefined);
    await target.close();
  }
}

/**
 * Gives the memory of each chunk back as the next is asked for: there are so many that to collect them costs more than to hash them. One
 * that shares its memory is left alone.
 */
async function* givenBack(chunks: AsyncIterable<Uint8Array<ArrayBuffer>>): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of chunks) {
    yield chunk;
    if (chunk.byteLength === chunk.buffer.byteLength) chunk.buffer.transfer(0);
  }
}

function asFailure(error: unknown, file: string): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'].includes(code)) {
    const errors = [{ path: '', code: 'cut', message: `ends before it is whole: ${file} was cut on its way` }];
    return new AgentError('request.invalid', { errors }, { cause: error });
  }
  if (!isDiskFull(error)) return error;
  return new AgentError('disk.full', { reason: `There is no room for ${file}.`, file }, { cause: error });
}

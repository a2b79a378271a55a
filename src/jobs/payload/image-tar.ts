/**
 * The tar of an image as an engine gets it: what an unpacker writes, entry by entry, judged and written anew.
 *
 * Left out are devices, pipes and sockets: a container gets its own, and a job is given none. Left out are extended attributes:
 * some are marks by which the file system of an engine puts layers together. Bits of setuid stay, as in images of registries: no
 * container of a job can gain anything by them (`no-new-privileges`). A name that engines take for a mark of what is gone, or that
 * leads out, no squashfs of an image has: all of it is refused.
 */
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { extract, type Header, type Pack, pack } from 'tar-stream';
import { AgentError } from '../../contract/failures.ts';
import type { StreamedProgram } from '../../host/stream-program.ts';
import { copyEntry, type Entry, nextEntry } from '../tar-entries.ts';
import { unreadable } from './read-gvmi.ts';

export interface ImageLimits {
  /** Of what is in its files. */
  readonly bytes: number;
  readonly entries: number;
}

/** Of what was written so far. */
export interface Unpacked {
  readonly bytes: number;
  readonly entries: number;
  readonly leftOut: number;
}

type Told = (now: Unpacked) => void;

const kept: ReadonlySet<unknown> = new Set(['file', 'directory', 'symlink', 'link']);
const leftOut: ReadonlySet<unknown> = new Set(['character-device', 'block-device', 'fifo']);
const maxNameLength = 4096;
const maxId = 2 ** 32 - 2;

/** Breaks with `payload.unreadable` for what cannot be an image, and for a program that fails. Ends the program with itself. */
export function imageTar(program: StreamedProgram, limits: ImageLimits, tell: Told): Readable {
  return Readable.from(blocksOf(program, limits, tell), { objectMode: false });
}

async function* blocksOf(program: StreamedProgram, limits: ImageLimits, tell: Told): AsyncGenerator<Uint8Array> {
  const ours = pack();
  const from = extract();
  program.stdout.once('error', (error) => from.destroy(error));
  program.stdout.pipe(from as unknown as NodeJS.WritableStream);
  const broken: Error[] = [];
  const work = (async () => {
    try {
      const count = await copyAll(from[Symbol.asyncIterator](), ours, limits, tell);
      const trouble = await program.trouble();
      if (trouble !== undefined) throw unreadable(`It cannot be unpacked. ${trouble}.`);
      if (count === 0) throw unreadable('There is no file in it.');
      ours.finalize();
    } catch (error) {
      broken.push(await reasonOf(error, program));
      // Not with the reason, which an entry that is open would throw at nobody.
      ours.destroy();
    }
  })();
  try {
    for await (const chunk of ours) yield chunk as Uint8Array;
  } catch (error) {
    throw broken[0] ?? error;
  } finally {
    program.end();
    from.destroy();
    ours.destroy();
    await work;
  }
}

/** What a program leaves that breaks off is no sound tar: it says itself why. */
async function reasonOf(error: unknown, program: StreamedProgram): Promise<Error> {
  if (error instanceof AgentError) return error;
  program.end();
  const trouble = (await program.trouble()) ?? (error as Error).message;
  return unreadable(`It cannot be unpacked. ${trouble}.`, error);
}

async function copyAll(entries: AsyncIterator<Entry>, ours: Pack, limits: ImageLimits, tell: Told): Promise<number> {
  let [bytes, count, left] = [0, 0, 0];
  for (let entry = await nextEntry(entries); entry; entry = await nextEntry(entries)) {
    const header = judgeEntry(entry.header);
    count += 1;
    bytes += header?.size ?? 0;
    if (count > limits.entries) throw unreadable(`It has more than ${limits.entries} files.`);
    if (bytes > limits.bytes) {
      throw unreadable(`It has more than the ${limits.bytes} bytes that this host unpacks.`);
    }
    if (header) {
      await copyEntry(ours, header, entry);
    } else {
      left += 1;
      entry.resume();
    }
    tell({ bytes, entries: count, leftOut: left });
  }
  return count;
}

type Ours = Partial<Header> & Pick<Header, 'name' | 'size'>;

/** Undefined for what is left out; throws for what no image has. */
export function judgeEntry({ name, type, mode, uid, gid, size, mtime, linkname }: Header): Ours | undefined {
  if (leftOut.has(type)) return undefined;
  if (!kept.has(type)) throw unreadable(`It has ${shown(name)}, which is a ${type ?? 'thing that nobody knows'}.`);
  const path = placed(name);
  // The folder of all is the engine's, and no tar could say a name again that is no text.
  if (path === '.' || path.includes('\u{fffd}')) return undefined;
  const ids = { uid: idOf(uid), gid: idOf(gid), uname: '', gname: '' };
  const common = { mode: (mode ?? 0) & 0o7777, ...ids, mtime: mtime ?? new Date(0) };
  if (type === 'directory') return { ...common, name: `./${path}/`, type, size: 0 };
  if (type === 'file') return { ...common, name: `./${path}`, type, size };
  if (linkname === undefined || linkname === null || linkname === '' || linkname.length > maxNameLength) {
    throw unreadable(`It has ${shown(name)}, a link that leads nowhere.`);
  }
  if (type === 'symlink') return { ...common, name: `./${path}`, type, size: 0, linkname };
  return { ...common, name: `./${path}`, type: 'link', size: 0, linkname: `./${placed(linkname)}` };
}

function placed(name: string): string {
  const path = posix.normalize(name).replace(/\/$/, '');
  const isOut = path.startsWith('/') || path === '..' || path.startsWith('../') || path.includes('\0');
  if (isOut || path.length > maxNameLength) throw unreadable(`It has ${shown(name)}, which leads out of it.`);
  if (path.split('/').some((part) => part.startsWith('.wh.'))) {
    throw unreadable(`It has ${shown(name)}, which engines take for a mark of what is gone.`);
  }
  return path;
}

function idOf(id: number | undefined): number {
  return id !== undefined && Number.isSafeInteger(id) && id >= 0 && id <= maxId ? id : 0;
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}

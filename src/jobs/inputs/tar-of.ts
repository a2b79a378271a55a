/**
 * A folder as a tar archive (POSIX, with extended headers where a name or a size does not fit): for mounts that may be written to,
 * whose files are copied into a volume. Owned by root and open to whoever runs in the container. Links are in it that stay in it.
 */
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { Readable } from 'node:stream';

const block = 512;
const largestInOctal = 0o77777777777;

interface Entry {
  readonly name: string;
  readonly type: '0' | '2' | '5';
  readonly mode: number;
  readonly size: number;
  /** Where a link leads. */
  readonly target: string;
}

/**
 * Of what is below the folder; not of the folder itself. An empty archive where there is nothing. It never begins with the name of
 * a file: an engine takes what begins as `BZh` does for compressed.
 */
export function tarOf(folder: string): Readable {
  return Readable.from(blocksOf(folder), { objectMode: false });
}

/** A file, and where it lies in the folder that the archive is unpacked in. */
export interface TarFile {
  readonly path: string;
  readonly size: number;
  readonly executable: boolean;
  /** As many bytes. */
  readonly content: AsyncIterable<Buffer>;
  /** Those on the way to it that are to be made; they are open to everybody. */
  readonly folders: readonly string[];
}

/** Of one file, of any size: none of it is held. */
export function tarOfFile(file: TarFile): Readable {
  return Readable.from(blocksOfFile(file), { objectMode: false });
}

async function* blocksOfFile({ path, size, executable, content, folders }: TarFile): AsyncGenerator<Buffer> {
  for (const folder of folders) yield headerOf({ name: `./${folder}/`, type: '5', mode: 0o777, size: 0, target: '' });
  yield headerOf({ name: `./${path}`, type: '0', mode: executable ? 0o777 : 0o666, size, target: '' });
  yield* content;
  yield padding(size);
  yield Buffer.alloc(2 * block);
}

async function* blocksOf(folder: string): AsyncGenerator<Buffer> {
  yield* entriesOf(folder, './');
  yield Buffer.alloc(2 * block);
}

async function* entriesOf(folder: string, prefix: string): AsyncGenerator<Buffer> {
  const names = await readdir(folder);
  for (const name of names.sort()) {
    const path = join(folder, name);
    const found = await lstat(path);
    if (found.isDirectory()) {
      yield headerOf({ name: `${prefix}${name}/`, type: '5', mode: 0o777, size: 0, target: '' });
      yield* entriesOf(path, `${prefix}${name}/`);
    } else if (found.isFile()) {
      const mode = (found.mode & 0o100) === 0 ? 0o666 : 0o777;
      yield headerOf({ name: `${prefix}${name}`, type: '0', mode, size: found.size, target: '' });
      yield* createReadStream(path) as AsyncIterable<Buffer>;
      yield padding(found.size);
    } else if (found.isSymbolicLink()) {
      const target = await readlink(path);
      if (leadsOut(prefix, target)) continue;
      yield headerOf({ name: `${prefix}${name}`, type: '2', mode: 0o777, size: 0, target });
    }
  }
}

/** By how it is written, from the folder that the link lies in. */
function leadsOut(folder: string, target: string): boolean {
  const inside = posix.join(folder, target);
  return target.startsWith('/') || inside === '..' || inside.startsWith('../');
}

function headerOf({ name, type, mode, size, target }: Entry): Buffer {
  const isLong = !fits(name);
  const isFar = !fits(target);
  const isLarge = size > largestInOctal;
  const records = [
    ...(isLong ? [record('path', name)] : []),
    ...(isFar ? [record('linkpath', target)] : []),
    ...(isLarge ? [record('size', String(size))] : []),
  ];
  const header = plainHeader(isLong ? 'long' : name, type, mode, isLarge ? 0 : size, isFar ? 'far' : target);
  if (records.length === 0) return header;
  const extended = Buffer.from(records.join(''));
  return Buffer.concat([
    plainHeader('extended', 'x', 0o644, extended.length, ''),
    extended,
    padding(extended.length),
    header,
  ]);
}

/** Whether the old field holds it. */
function fits(text: string): boolean {
  return Buffer.byteLength(text) <= 100 && !/[^\x20-\x7e]/.test(text);
}

/** `<length of all of it> <key>=<value>\n`. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  const length = bytes + String(bytes + String(bytes).length).length;
  return `${length}${rest}`;
}

function plainHeader(name: string, type: string, mode: number, size: number, target: string): Buffer {
  const header = Buffer.alloc(block);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`;
  header.write(name, 0);
  header.write(octal(mode, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(size, 11), 124);
  header.write(octal(0, 11), 136);
  header.write(' '.repeat(8), 148);
  header.write(type, 156);
  header.write(target, 157);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

function padding(size: number): Buffer {
  return Buffer.alloc((block - (size % block)) % block);
}

/**
 * A folder as a tar archive (POSIX, with extended headers where a name or a size does not fit): for mounts that may be written to,
 * whose files are copied into a volume. Owned by root and open to whoever runs in the container.
 */
import { createReadStream } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';

const block = 512;
const largestInOctal = 0o77777777777;

interface Entry {
  readonly name: string;
  readonly isFolder: boolean;
  readonly size: number;
}

/**
 * Of what is below the folder; not of the folder itself. An empty archive where there is nothing. It never begins with the name of
 * a file: an engine takes what begins as `BZh` does for compressed.
 */
export function tarOf(folder: string): Readable {
  return Readable.from(blocksOf(folder), { objectMode: false });
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
      yield headerOf({ name: `${prefix}${name}/`, isFolder: true, size: 0 });
      yield* entriesOf(path, `${prefix}${name}/`);
    } else if (found.isFile()) {
      yield headerOf({ name: `${prefix}${name}`, isFolder: false, size: found.size });
      yield* createReadStream(path) as AsyncIterable<Buffer>;
      yield padding(found.size);
    }
  }
}

function headerOf({ name, isFolder, size }: Entry): Buffer {
  const isLong = Buffer.byteLength(name) > 100 || /[^\x20-\x7e]/.test(name);
  const isLarge = size > largestInOctal;
  const records = [...(isLong ? [record('path', name)] : []), ...(isLarge ? [record('size', String(size))] : [])];
  const mode = isFolder ? 0o777 : 0o666;
  const header = plainHeader(isLong ? 'long' : name, isFolder ? '5' : '0', mode, isLarge ? 0 : size);
  if (records.length === 0) return header;
  const extended = Buffer.from(records.join(''));
  return Buffer.concat([
    plainHeader('extended', 'x', 0o644, extended.length),
    extended,
    padding(extended.length),
    header,
  ]);
}

/** `<length of all of it> <key>=<value>\n`. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  const length = bytes + String(bytes + String(bytes).length).length;
  return `${length}${rest}`;
}

function plainHeader(name: string, type: string, mode: number, size: number): Buffer {
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
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

function padding(size: number): Buffer {
  return Buffer.alloc((block - (size % block)) % block);
}

/**
 * Writes tars that depend on nothing but paths, contents, links and on who may execute: no owner, no time, no padding at the end.
 * What is written here never changes: the sha256 of it is the name of a revision.
 */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { asItIs, type Passing } from '../passing.ts';
import { type Tarball, TarballRefused, type TarEntry } from './tarball.ts';

const block = 512;
const end = 2 * block;
/** Eleven octal digits. */
const mostOctal = 0o77777777777;

/** A tar that is made as it is read. */
export interface PackedTar {
  /** How long it will be. */
  readonly bytes: number;
  /** From its begin; may be asked for more than once. */
  stream(): Readable;
}

/** A file that is in no tarball, put before all others. */
export interface FirstEntry {
  /** One segment. What the folder has under this name is left out, with all that is below it. */
  readonly name: string;
  readonly content: Uint8Array;
}

/** The canonical tar of all of it, whose sha256 is the revision. */
export function canonicalTar(tarball: Tarball): PackedTar {
  return packed(
    tarball,
    tarball.entries.map((entry) => ({ entry, path: entry.path })),
  );
}

/**
 * A plain tar of what is below a folder, by paths relative to it; `.` is the whole. `leftOut`: paths in the tarball that it does not
 * have. Throws `TarballRefused` where it is no folder, or has links that lead out of it, which no builder would take. Links on the way
 * to the folder are followed.
 */
export async function contextOf(
  tarball: Tarball,
  folder: string,
  leftOut: ReadonlySet<string> = new Set(),
  first?: FirstEntry,
): Promise<PackedTar> {
  const inside = entriesBelow(tarball, folder).filter(({ entry }) => !leftOut.has(entry.path));
  const seen = new Set(inside.map(({ entry }) => entry.path));
  const troubles = (await tarball.linksOutOf(pathOf(tarball, folder))).filter(({ path }) => seen.has(path));
  if (troubles.length > 0) throw new TarballRefused(troubles);
  const taken = inside.filter(({ path }) => path !== first?.name && !(first && path.startsWith(`${first.name}/`)));
  return packed(tarball, taken, first);
}

/** What is below a folder, with its paths there. Throws `TarballRefused` where it is no folder. */
export function entriesBelow(tarball: Tarball, folder: string): readonly Placed[] {
  const base = pathOf(tarball, folder);
  const start = base === '' ? '' : `${base}/`;
  return tarball.entries
    .filter(({ path }) => path.startsWith(start))
    .map((entry) => ({ entry, path: entry.path.slice(start.length) }));
}

function pathOf(tarball: Tarball, folder: string): string {
  const found = tarball.find(folder);
  if (found === undefined || (found !== 'root' && found.type !== 'directory')) {
    throw new TarballRefused([{ path: folder, code: 'path.taken', message: 'is no folder of the tarball' }]);
  }
  return found === 'root' ? '' : found.path;
}

/** The content of a file of it. Throws `TarballRefused` for what is no file; links are followed. */
export function contentOf(tarball: Tarball, path: string): PackedTar {
  const found = tarball.find(path);
  if (found === undefined || found === 'root' || found.type !== 'file') {
    throw new TarballRefused([{ path, code: 'path.taken', message: 'is no file of the tarball' }]);
  }
  return { bytes: found.size, stream: () => asStream(only(tarball, found)) };
}

/** Writes it into a new file, which is on the disk when this resolves, and gives what `measureFile` would say of that. */
export async function writePacked(
  tar: PackedTar,
  file: string,
  passing: Passing = asItIs,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  const measured = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      hash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  };
  await pipeline(tar.stream(), measured, passing, createWriteStream(file, { flags: 'wx', mode: 0o600, flush: true }));
  return { size, sha256: hash.digest('hex') };
}

/** Bytes of an entry in a tar that is made here, under its own path or another. */
export function packedSize(entry: TarEntry, path: string = entry.path): number {
  const records = recordsOf(entry, nameOf(entry, path));
  const before = records === '' ? 0 : block + padded(Buffer.byteLength(records));
  return before + block + padded(entry.size);
}

interface Placed {
  readonly entry: TarEntry;
  readonly path: string;
}

function packed(tarball: Tarball, placed: readonly Placed[], first?: FirstEntry): PackedTar {
  const before = first ? fileEntry(first.name, first.content) : Buffer.alloc(0);
  const sizes = placed.map(({ entry, path }) => packedSize(entry, path));
  const bytes = sizes.reduce((sum, size) => sum + size, before.length + end);
  return { bytes, stream: () => asStream(write(tarball, placed, before)) };
}

/** A file as it stands in a tar. */
export function fileEntry(name: string, content: Uint8Array): Buffer {
  const entry: TarEntry = { path: name, type: 'file', mode: 0o644, size: content.length, offset: 0, target: '' };
  return Buffer.concat([headOf(entry, name), content, padding(content.length)]);
}

async function* write(tarball: Tarball, placed: readonly Placed[], before: Buffer): AsyncGenerator<Uint8Array> {
  const contents = await tarball.open();
  try {
    if (before.length > 0) yield before;
    for (const { entry, path } of placed) {
      yield headOf(entry, path);
      if (entry.size === 0) continue;
      yield* contents.read(entry);
      yield padding(entry.size);
    }
    yield Buffer.alloc(end);
  } finally {
    await contents.close();
  }
}

async function* only(tarball: Tarball, entry: TarEntry): AsyncGenerator<Uint8Array> {
  const contents = await tarball.open();
  try {
    yield* contents.read(entry);
  } finally {
    await contents.close();
  }
}

function asStream(chunks: AsyncGenerator<Uint8Array>): Readable {
  return Readable.from(chunks, { objectMode: false });
}

const typeFlags = { file: '0', symlink: '2', directory: '5' } as const;

/** The header of an entry, behind a pax header for what has no place in it. */
export function headOf(entry: TarEntry, path: string): Buffer {
  const { type, mode, size, target } = entry;
  const name = nameOf(entry, path);
  const records = recordsOf(entry, name);
  const own = header(fits(name) ? name : 'PaxHeader', typeFlags[type], mode, size, fits(target) ? target : 'PaxHeader');
  if (records === '') return own;
  const text = Buffer.from(records);
  return Buffer.concat([header('PaxHeader', 'x', 0o644, text.length, ''), text, padding(text.length), own]);
}

function nameOf({ type }: TarEntry, path: string): string {
  return type === 'directory' ? `${path}/` : path;
}

/** Of a pax header; empty where none is needed. */
function recordsOf({ size, target }: TarEntry, name: string): string {
  return [
    fits(name) ? '' : record('path', name),
    fits(target) ? '' : record('linkpath', target),
    size > mostOctal ? record('size', String(size)) : '',
  ].join('');
}

/** Whether it is the same in every program's eyes. */
function fits(text: string): boolean {
  return text.length <= 100 && /^[\x20-\x7e]*$/.test(text);
}

function header(name: string, type: string, mode: number, size: number, target: string): Buffer {
  const bytes = Buffer.alloc(block);
  const put = (text: string, at: number) => bytes.write(text, at, 'latin1');
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0');
  put(name, 0);
  put(octal(mode, 7), 100);
  put(octal(0, 7), 108);
  put(octal(0, 7), 116);
  put(octal(size > mostOctal ? 0 : size, 11), 124);
  put(octal(0, 11), 136);
  put(' '.repeat(8), 148);
  put(type, 156);
  put(target, 157);
  put('ustar\x0000', 257);
  put(octal(0, 7), 329);
  put(octal(0, 7), 337);
  put(
    `${octal(
      bytes.reduce((sum, byte) => sum + byte, 0),
      6,
    )}\0 `,
    148,
  );
  return bytes;
}

/** `LENGTH KEY=VALUE`, where the length counts its own digits. */
function record(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (String(length).length + rest > length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function padded(size: number): number {
  return Math.ceil(size / block) * block;
}

/** What stands behind a file of so many bytes. */
export function padding(size: number): Buffer {
  return Buffer.alloc(padded(size) - size);
}

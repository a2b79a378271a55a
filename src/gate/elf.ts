/** What a program of this host needs to be loaded, by its own headers: its loader and its libraries. For 64-bit, little-endian ELF. */
import { type FileHandle, open } from 'node:fs/promises';

export interface Needs {
  /** Path of the program that loads it; undefined for a library, and for a program that needs none. */
  readonly loader: string | undefined;
  /** Names of libraries. */
  readonly libraries: readonly string[];
}

const segment = { load: 1, dynamic: 2, interp: 3 } as const;
const tag = { end: 0, needed: 1, strings: 5 } as const;
const headerBytes = 64;
const mostHeaders = 64;
const mostText = 4096;
const mostDynamic = 64 * 1024;

interface Segment {
  readonly kind: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

export async function needsOf(path: string): Promise<Needs> {
  const file = await open(path, 'r');
  try {
    const segments = await segmentsOf(file, path);
    const interp = segments.find(({ kind }) => kind === segment.interp);
    const loader = interp && (await textAt(file, interp.offset));
    const dynamic = segments.find(({ kind }) => kind === segment.dynamic);
    const libraries = dynamic ? await librariesOf(file, dynamic, segments) : [];
    return { loader, libraries };
  } finally {
    await file.close();
  }
}

async function segmentsOf(file: FileHandle, path: string): Promise<Segment[]> {
  const header = await bytesAt(file, 0, headerBytes);
  const isElf = header.length === headerBytes && header.readUInt32BE(0) === 0x7f454c46;
  if (!isElf || header[4] !== 2 || header[5] !== 1) throw new Error(`${path} is no program for this processor.`);
  const [offset, size, count] = [Number(header.readBigUInt64LE(32)), header.readUInt16LE(54), header.readUInt16LE(56)];
  if (size < 56 || count > mostHeaders) throw new Error(`${path} has headers of an odd kind.`);
  const table = await bytesAt(file, offset, size * count);
  return Array.from({ length: count }, (_, index) => {
    const entry = table.subarray(index * size, (index + 1) * size);
    return {
      kind: entry.readUInt32LE(0),
      offset: Number(entry.readBigUInt64LE(8)),
      address: Number(entry.readBigUInt64LE(16)),
      size: Number(entry.readBigUInt64LE(32)),
    };
  });
}

async function librariesOf(file: FileHandle, dynamic: Segment, segments: readonly Segment[]): Promise<string[]> {
  const table = await bytesAt(file, dynamic.offset, Math.min(dynamic.size, mostDynamic));
  const names: number[] = [];
  let strings = 0;
  for (let at = 0; at + 16 <= table.length; at += 16) {
    const kind = Number(table.readBigInt64LE(at));
    const value = Number(table.readBigUInt64LE(at + 8));
    if (kind === tag.end) break;
    if (kind === tag.needed) names.push(value);
    if (kind === tag.strings) strings = value;
  }
  const home = segments.find(
    ({ kind, address, size }) => kind === segment.load && strings >= address && strings < address + size,
  );
  const base = home ? strings - home.address + home.offset : strings;
  return await Promise.all(names.map((name) => textAt(file, base + name)));
}

async function textAt(file: FileHandle, offset: number): Promise<string> {
  const bytes = await bytesAt(file, offset, mostText);
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end === -1 ? bytes.length : end);
}

async function bytesAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

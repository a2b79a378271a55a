/** Reads the files that a release has for its host (units, guard) from the archive that the bootstrap has kept. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ifAbsent } from './if-there.ts';

/** Larger than any of ours; what is larger is none. */
const mostBytes = 4 * 1024 * 1024;

/** Content by path below the archive's one folder; undefined where no archive is kept. */
export async function readHostFiles(folder: string): Promise<ReadonlyMap<string, Buffer> | undefined> {
  const names = ((await readdir(folder).catch(ifAbsent)) ?? []).filter((name) => /^host-.+\.tar\.gz$/.test(name));
  const name = names.length === 1 ? names[0] : undefined;
  if (name === undefined) return undefined;
  return filesIn(gunzipSync(await readFile(join(folder, name)), { maxOutputLength: mostBytes }));
}

const block = 512;

/** Of a plain ustar archive, the only kind that a release has. */
function filesIn(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  let at = 0;
  while (at + block <= archive.length && archive[at] !== 0) {
    const text = (from: number, length: number) =>
      archive.toString('latin1', at + from, at + from + length).replace(/\0.*$/s, '');
    const size = Number.parseInt(text(124, 12).trim() || '0', 8);
    const isFile = ['0', ''].includes(text(156, 1));
    if (isFile) {
      const name = text(0, 100).replace(/^(\.\/)?[^/]+\//, '');
      files.set(name, archive.subarray(at + block, at + block + size));
    }
    at += block + Math.ceil(size / block) * block;
  }
  return files;
}

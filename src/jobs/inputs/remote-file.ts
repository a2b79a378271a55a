/** What a source turned out to hold: files whose content is known by a version before any of it is fetched. */

import type { Authorize, SourceClient } from './client.ts';
import { refused } from './trouble.ts';

export interface RemoteFile {
  /** Where it goes in the volume; relative. */
  readonly path: string;
  readonly url: URL;
  /** Changes whenever the content does. Undefined where the source tells of nothing that does: then nobody else gets it. */
  readonly version: string | undefined;
  /** Bytes; undefined where the source does not say. */
  readonly size: number | undefined;
  readonly checksum?: Checksum | undefined;
  /** Asked for with each piece, so that all of them are of one content. */
  readonly etag?: string | undefined;
  /** Of a tar whose contents are laid and not the tar itself: the folder in the volume, `.` for all of that. */
  readonly unpackTo?: string;
  /** Where all of it is known already. */
  readonly content?: Buffer;
}

export type Sha3 = 'sha3-224' | 'sha3-256' | 'sha3-384' | 'sha3-512';

export interface Checksum {
  /** `git-sha1`: of the content as git stores it. */
  readonly algorithm: 'sha256' | 'git-sha1' | Sha3;
  readonly hex: string;
}

export interface RemoteSource {
  readonly files: readonly RemoteFile[];
  readonly authorize: Authorize;
  /** Of a repository, in hex: what its revision is now. */
  readonly commit?: string;
  /** Who is asked, where that is not a place that a job may name. */
  readonly client?: Pick<SourceClient, 'ask'>;
}

/** Of one input. */
export const mostFiles = 100_000;
const mostPathBytes = 1024;
const mostNameBytes = 255;

/** Throws `input.refused` for names that no folder can hold or that lead out of it, and for two that are in each other's way. */
export function judgePaths(paths: readonly string[]): void {
  if (paths.length === 0) throw refused('The source holds no file of that name.');
  if (paths.length > mostFiles) throw refused(`It has more than ${mostFiles} files.`, { count: paths.length });
  const files = new Set<string>();
  for (const path of paths) {
    if (!isPlainPath(path)) throw refused('The source has a file whose name cannot be used.', { path: shown(path) });
    if (files.has(path)) throw refused('The source has two files of one name.', { path });
    files.add(path);
  }
  for (const path of paths) {
    for (let end = path.indexOf('/'); end > 0; end = path.indexOf('/', end + 1)) {
      const folder = path.slice(0, end);
      if (files.has(folder)) throw refused('The source has a file and a folder of one name.', { path: folder });
    }
  }
}

function isPlainPath(path: string): boolean {
  return (
    path.isWellFormed() &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
    !/[\u0000-\u001f\u007f]/.test(path) &&
    Buffer.byteLength(path) <= mostPathBytes &&
    path.split('/').every((name) => !['', '.', '..'].includes(name) && Buffer.byteLength(name) <= mostNameBytes)
  );
}

function shown(path: string): string {
  return JSON.stringify(path).slice(0, 256);
}

/** Those of `paths` that are asked for: files by their path, folders by one that ends in `/`. Each has to be there. */
export function chosenOf<Entry extends { readonly path: string }>(
  entries: readonly Entry[],
  files: readonly string[],
): readonly Entry[] {
  if (files.length === 0) return entries;
  const matches = (path: string, wish: string) => (wish.endsWith('/') ? path.startsWith(wish) : path === wish);
  const missing = files.find((wish) => !entries.some(({ path }) => matches(path, wish)));
  if (missing !== undefined) throw refused('The source does not have a file that is asked for.', { path: missing });
  return entries.filter(({ path }) => files.some((wish) => matches(path, wish)));
}

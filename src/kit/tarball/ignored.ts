/** What a build is not to have of a tarball, by the author's `.dockerignore`. */
import { posix } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { type IgnorePatterns, readIgnorePatterns, TooManySteps } from './ignore-patterns.ts';
import { type Tarball, TarballRefused, type TarTroubleCode } from './tarball.ts';
import { contentOf, entriesBelow } from './write-tar.ts';

const maxBytes = 64 * 1024;

/** Steps before others get their turn. */
const atATime = 1_000_000;

/**
 * Paths in the tarball that are in the context and are ignored: by `<Dockerfile>.dockerignore` beside the Dockerfile, or else by
 * `.dockerignore` in the context, as BuildKit does. A folder of something that is not ignored is not, either. Throws `TarballRefused`
 * with each line that cannot be read, and where it takes too long.
 */
export async function ignoredIn(tarball: Tarball, context: string, dockerfile: string): Promise<ReadonlySet<string>> {
  const file = [`${dockerfile}.dockerignore`, posix.join(context, '.dockerignore')].find((path) =>
    isFile(tarball, path),
  );
  if (file === undefined) return new Set();
  const refused = (code: TarTroubleCode, message: string) => new TarballRefused([{ path: file, code, message }]);
  const content = contentOf(tarball, file);
  if (content.bytes > maxBytes) throw refused('ignore.too_large', `is larger than ${maxBytes} bytes`);
  const read = readIgnorePatterns((await buffer(content.stream())).toString('utf8'));
  if (!read.ok) {
    throw new TarballRefused(
      read.troubles.map(({ line, message }) => ({
        ...{ path: file, code: 'ignore.pattern' as const, message: `line ${line} ${message}` },
      })),
    );
  }
  try {
    return await leftOutBy(read.patterns, tarball, context);
  } catch (error) {
    if (!(error instanceof TooManySteps)) throw error;
    throw refused('ignore.costly', 'takes too long to apply: it has too many patterns for so many files');
  }
}

async function leftOutBy(patterns: IgnorePatterns, tarball: Tarball, context: string): Promise<ReadonlySet<string>> {
  const needed = new Set<string>();
  const entries = entriesBelow(tarball, context);
  let turn = 0;
  for (const { path } of entries) {
    if (patterns.spent > turn) {
      await setImmediate();
      turn = patterns.spent + atATime;
    }
    if (patterns.has(path)) continue;
    for (let at = path; at !== '.' && !needed.has(at); at = posix.dirname(at)) needed.add(at);
  }
  return new Set(entries.filter(({ path }) => !needed.has(path)).map(({ entry }) => entry.path));
}

function isFile(tarball: Tarball, path: string): boolean {
  const found = tarball.find(path);
  return typeof found === 'object' && found.type === 'file';
}

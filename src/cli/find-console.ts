/**
 * Where `gpuaas serve` has its console from: the folder beside the program in a release, and the sources in a checkout, where it
 * is built in memory, so that a change of them shows with the next start and nothing stale is ever served.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ConsoleFile, ConsoleFiles } from '../server/http/console-files.ts';

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
};

/** `folder` is the one that the program lies in. Undefined where it has no console. */
export function findConsole(folder = import.meta.dirname): (() => Promise<ConsoleFiles>) | undefined {
  const released = join(folder, 'console');
  if (existsSync(join(released, 'index.html'))) {
    return async () => readConsole(released);
  }
  // By its address, so that no release has the build in it.
  const build = join(folder, '../../bootstrap/dev/build-console.ts');
  return existsSync(build) ? async () => (await import(pathToFileURL(build).href)).buildConsole() : undefined;
}

/** The counterpart of what the build writes: `index.html`, and `assets/` with names that change with what is in them. */
function readConsole(folder: string): ConsoleFiles {
  const fileOf = (path: string, immutable: boolean): ConsoleFile => ({
    ...{ bytes: readFileSync(join(folder, path)), immutable },
    contentType: contentTypes[extname(path)] ?? 'application/octet-stream',
  });
  const assets = readdirSync(join(folder, 'assets')).map((name) => `assets/${name}`);
  return new Map([
    ['/', fileOf('index.html', false)],
    ...assets.map((path) => [`/${path}`, fileOf(path, true)] as const),
  ]);
}

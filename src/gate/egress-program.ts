/**
 * What the image of a proxy is made of: this very program and the libraries of this host that it needs. From a checkout that is Node and
 * the few files of `src/egress/`, which import no packages; a bundle, or the single binary, has them in it.
 */
import { readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import { egressLibraries } from '../policy/egress-request.ts';
import { needsOf } from './elf.ts';

/** A file of the image: one of this host, or a text. */
export interface ProgramFile {
  /** Absolute, in the image. */
  readonly path: string;
  readonly from: { readonly file: string } | { readonly text: string };
}

export interface EgressProgram {
  readonly files: readonly ProgramFile[];
  readonly command: readonly string[];
}

const home = '/opt/gpuaas';
const usualFolders = ['/lib', '/usr/lib', '/lib64', '/usr/lib64'];

export async function egressProgram(): Promise<EgressProgram> {
  const executable = await realpath(process.execPath);
  const libraries = await librariesOf(executable);
  const runtime = { path: `${home}/node`, from: { file: executable } };
  const here = fileURLToPath(import.meta.url);
  if (isSea()) return { files: [runtime, ...libraries], command: [runtime.path, 'egress'] };
  if (!here.endsWith('.ts')) {
    const bundle = { path: `${home}/node-agent.mjs`, from: { file: here } };
    return { files: [runtime, bundle, ...libraries], command: [runtime.path, bundle.path, 'egress'] };
  }
  const root = resolve(dirname(here), '..');
  const start = join(root, 'egress/start.ts');
  const inImage = (file: string) => `${home}/src/${relative(root, file)}`;
  const sources = (await sourcesOf(start)).map((file) => ({ path: inImage(file), from: { file } }));
  const kind = { path: `${home}/package.json`, from: { text: '{"type":"module"}\n' } };
  return { files: [runtime, kind, ...sources, ...libraries], command: [runtime.path, inImage(start)] };
}

const statement = /(?:^|\n)\s*(?:import|export)(\s+type)?\s[^;]*?from\s+'([^']+)'/g;

/** A file and all that it imports, but for types, which are gone before it runs. */
async function sourcesOf(start: string): Promise<string[]> {
  const files = new Set([start]);
  for (const file of files) {
    for (const [, type, specifier = ''] of (await readFile(file, 'utf8')).matchAll(statement)) {
      if (type !== undefined || specifier.startsWith('node:')) continue;
      if (!specifier.startsWith('.')) throw new Error(`${file} imports the package ${specifier}, which no proxy has.`);
      files.add(resolve(dirname(file), specifier));
    }
  }
  return [...files].sort();
}

/** The loader at its own place, and what it is to load: all that the program needs, and what those need in turn. */
async function librariesOf(executable: string): Promise<ProgramFile[]> {
  const { loader, libraries } = await needsOf(executable);
  if (loader === undefined) return [];
  const folders = await foldersOf();
  const found = new Map<string, string>();
  const open = [...libraries];
  for (const name of open) {
    // The loader is a library as well, and there by its own path.
    if (found.has(name) || name === basename(loader)) continue;
    const file = await placeOf(name, folders);
    found.set(name, file);
    open.push(...(await needsOf(file)).libraries);
  }
  return [
    { path: loader, from: { file: await realpath(loader) } },
    ...[...found]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, file]) => ({ path: `${egressLibraries}/${name}`, from: { file } })),
  ];
}

/** Where this process has its own from, and where they usually are. */
async function foldersOf(): Promise<string[]> {
  const maps = await readFile('/proc/self/maps', 'utf8');
  const own = [...maps.matchAll(/ (\/[^\n]*\/)[^/\n]*\.so[^/\n]*$/gm)].map(([, folder = '']) => folder);
  const machine = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[process.arch as 'x64' | 'arm64'];
  const usual = usualFolders.flatMap((folder) => [...(machine ? [`${folder}/${machine}`] : []), folder]);
  return [...new Set([...own.map((folder) => folder.replace(/\/$/, '')), ...usual])];
}

async function placeOf(name: string, folders: readonly string[]): Promise<string> {
  if (!/^[A-Za-z0-9._+-]+$/.test(name)) throw new Error(`A library has the odd name ${name}.`);
  for (const folder of folders) {
    const file = join(folder, name);
    const isThere = await stat(file).then(
      (stats) => stats.isFile(),
      () => false,
    );
    if (isThere) return await realpath(file);
  }
  throw new Error(`The library ${name}, which this program needs, is in none of ${folders.join(', ')}.`);
}

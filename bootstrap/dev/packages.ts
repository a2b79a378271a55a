/**
 * Debian packages that the development ground stands on.
 *
 * What was missing and is installed here is written down, so that a purge can name exactly that.
 */
import { access, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, SYSTEM_ENV } from './processes.ts';
import { say, step } from './progress.ts';
import { cacheDir, readRecord, stateDir, withLock, writeRecord } from './state.ts';

const APT_ENV = { ...SYSTEM_ENV, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
let listsAreFresh = false;

/** Installs those of `names` that are missing and gives them back. Touches no network when nothing is missing. */
export async function ensurePackages(names: readonly string[]): Promise<readonly string[]> {
  if ((await missing(names)).length === 0) return [];
  return await withLock('packages', async () => {
    const wanted = await missing(names);
    if (wanted.length === 0) return [];
    await refreshLists();
    await step(`installing ${wanted.join(', ')}`, () => install(wanted));
    return wanted;
  });
}

/** Names of the packages (dependencies included) that were not on this machine before {@link ensurePackages}. */
export async function installedByUs(): Promise<string[]> {
  return (await readRecord<string[]>(recordPath())) ?? [];
}

/**
 * Takes the packages off the machine that {@link ensurePackages} put on it, and gives those that had to stay because
 * something that was installed later needs them.
 */
export async function purgePackages(): Promise<readonly string[]> {
  const ours = await installedByUs();
  const present = await allInstalled();
  const names = ours.filter((name) => present.has(name));
  if (names.length === 0) return [];
  await step(`purging ${names.length} packages`, async () => {
    // Unlike apt-get it never takes a package along that was not named.
    await run('dpkg', ['--purge', ...names], { env: APT_ENV }).catch((error: Error) => say(error.message));
  });
  const left = [...(await allInstalled())].filter((name) => names.includes(name));
  await writeRecord(recordPath(), left);
  return left;
}

/** A release of Debian that is not this machine's own. */
export interface OtherRelease {
  readonly mirror: string;
  readonly suite: string;
}

/**
 * Unpacks a package into the cache without installing it, and gives the folder: no service starts and no user is made.
 * Only for packages whose programs need nothing but libc. `release` is asked for only where it is not there yet. The name may
 * be that of another processor's (`name:arm64`), from another release only.
 */
export async function unpackPackage(name: string, release?: () => Promise<OtherRelease>): Promise<string> {
  const root = join(cacheDir(), 'unpacked', name);
  if (await exists(root)) return root;
  return await withLock(`unpack-${name}`, async () => {
    if (!(await exists(root))) await step(`fetching ${name}`, () => unpackTo(root, name, release));
    return root;
  });
}

async function unpackTo(root: string, name: string, release?: () => Promise<OtherRelease>): Promise<void> {
  const work = `${root}.${process.pid}`;
  await mkdir(join(work, 'root'), { recursive: true });
  try {
    const options = release === undefined ? [] : await sourcesOf(await release(), work, name.split(':')[1]);
    if (release === undefined) await refreshLists();
    else await run('apt-get', [...options, 'update', '-q'], { env: APT_ENV });
    const download = ['download', '-q', '-o', 'APT::Sandbox::User=root', name];
    await run('apt-get', [...options, ...download], { cwd: work, env: APT_ENV });
    const archive = (await readdir(work)).find((file) => file.endsWith('.deb'));
    if (archive === undefined) throw new Error(`apt-get downloaded no package ${name}.`);
    await run('dpkg-deb', ['--extract', join(work, archive), join(work, 'root')]);
    await rename(join(work, 'root'), root);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Options that let apt see that release alone, with all that it keeps below `folder`: the machine's own lists stay. */
async function sourcesOf({ mirror, suite }: OtherRelease, folder: string, arch?: string): Promise<string[]> {
  const list = join(folder, 'sources.list');
  const keys = '/usr/share/keyrings/debian-archive-keyring.gpg';
  await writeFile(list, `deb [signed-by=${keys}] ${mirror} ${suite} main\n`);
  await mkdir(join(folder, 'lists/partial'), { recursive: true });
  const settings = {
    'Dir::Etc::SourceList': list,
    'Dir::Etc::SourceParts': '-',
    'Dir::State::Lists': join(folder, 'lists'),
    ...(arch ? { 'APT::Architecture': arch, 'APT::Architectures::': arch } : {}),
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** `apt-get update`, once per process. */
export async function refreshLists(): Promise<void> {
  if (listsAreFresh) return;
  await step('reading package lists', () => run('apt-get', ['update', '-q'], { env: APT_ENV }));
  listsAreFresh = true;
}

async function install(names: readonly string[]): Promise<void> {
  const before = await allInstalled();
  try {
    await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...names], { env: APT_ENV });
  } finally {
    const added = [...(await allInstalled())].filter((name) => !before.has(name));
    const known = new Set([...(await installedByUs()), ...added]);
    await writeRecord(recordPath(), [...known].sort());
  }
}

async function missing(names: readonly string[]): Promise<string[]> {
  const present = await allInstalled();
  return names.filter((name) => !present.has(name));
}

async function allInstalled(): Promise<Set<string>> {
  const lines = (await run('dpkg', ['--get-selections'])).split('\n').map((line) => line.split(/[\s:]+/));
  return new Set(lines.flatMap(([name, ...state]) => (name && !state.includes('deinstall') ? [name] : [])));
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
const recordPath = () => join(stateDir(), 'packages.json');

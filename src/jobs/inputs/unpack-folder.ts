/**
 * Takes a folder that was kept of a job out of its tar. The tar is a stranger's: it is judged as a whole before anything is written,
 * and files are written under numbers, never under a name of the stranger's.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { isDiskFull } from '../../kit/disk-full.ts';
import { openTarball } from '../../kit/tarball/open-tarball.ts';
import { type Contents, type Tarball, TarballRefused, type TarEntry } from '../../kit/tarball/tarball.ts';
import { mostInFolder } from '../kept-folder.ts';
import type { Beside, ObtainedFile } from './lay-files.ts';
import type { Room } from './room.ts';
import { refused } from './trouble.ts';

export interface Unpacked extends Beside {
  readonly files: readonly ObtainedFile[];
}

interface UnpackOptions {
  /** A folder of its own; what is there goes before. */
  readonly to: string;
  /** Folder in the volume, which all paths get before them; `.` for none. */
  readonly at: string;
  readonly room: (bytes: number) => ReturnType<Room['take']>;
  readonly signal: AbortSignal;
}

const gib = 1024 ** 3;
/** What a control plane keeps of a job at most, and a little for what its headers need in a tar of another make. */
const limits = { ...mostInFolder, bytes: 65 * gib, ratio: 1 };
const nothing: ReadonlySet<string> = new Set();

/** `input.refused` for a tar that is none or that has what no folder may have, `disk.full`. */
export async function unpackFolder(tar: string, { to, at, room, signal }: UnpackOptions): Promise<Unpacked> {
  await rm(to, { recursive: true, force: true });
  await mkdir(to, { recursive: true, mode: 0o700 });
  const { entries, open: openContents } = await judged(tar, join(to, 'tar'));
  const taken = await room(entries.reduce((sum, { size }) => sum + size, 0));
  let contents: Awaited<ReturnType<typeof openContents>> | undefined;
  try {
    contents = await openContents();
    const files: ObtainedFile[] = [];
    for (const entry of entries.filter(({ type }) => type === 'file')) {
      signal.throwIfAborted();
      const object = join(to, String(files.length));
      files.push({ path: posix.join(at, entry.path), object, ...(await writeFile(entry, contents, object)) });
      taken.took(entry.size);
    }
    const place = ({ path }: TarEntry) => posix.join(at, path);
    const folders = entries.filter(({ type }) => type === 'directory').map(place);
    const links = entries.filter(({ type }) => type === 'symlink');
    return {
      files,
      folders: at === '.' ? folders : [at, ...folders],
      links: links.map((entry) => ({ path: place(entry), target: entry.target })),
    };
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    throw new AgentError('disk.full', { reason: (error as Error).message }, { cause: error });
  } finally {
    await contents?.close();
    taken.giveBack();
  }
}

async function judged(file: string, spool: string): Promise<Tarball> {
  try {
    return await openTarball({ file, spool, limits, leaveOut: nothing });
  } catch (error) {
    if (!(error instanceof TarballRefused)) throw error;
    const { message: told } = new TarballRefused(error.troubles.slice(0, 3));
    throw refused(`The folder that was kept cannot be unpacked. ${told}`, {}, error);
  }
}

async function writeFile(entry: TarEntry, contents: Contents, object: string) {
  const hash = createHash('sha256');
  const handle = await open(object, 'wx', 0o600);
  try {
    for await (const chunk of contents.read(entry)) {
      hash.update(chunk);
      await handle.appendFile(chunk);
    }
    // Read by whoever runs in the container, whatever the umask says.
    await handle.chmod(entry.mode & 0o555);
  } finally {
    await handle.close();
  }
  return { bytes: entry.size, sha256: hash.digest('hex') };
}

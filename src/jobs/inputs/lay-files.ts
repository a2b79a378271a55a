/**
 * Lays files into the folder of a volume, as hard links. Safe to repeat; a file of that path that is there is replaced. Nothing is
 * laid through a link, whoever has laid that.
 */
import { chmod, link, lstat, mkdir, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { refused } from './trouble.ts';

export interface ObtainedFile {
  /** Judged: it stays below the folder. */
  readonly path: string;
  /** What is linked to. */
  readonly object: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** What a folder has beside files; paths are judged as those are. */
export interface Beside {
  readonly folders: readonly string[];
  readonly links: readonly { readonly path: string; readonly target: string }[];
}

const seenByAll = 0o755;

export async function layFiles(
  folder: string,
  files: readonly ObtainedFile[],
  { folders, links }: Beside = { folders: [], links: [] },
): Promise<void> {
  // Where it is there already it is the gate's, and as it has to be.
  if ((await mkdir(folder, { recursive: true })) !== undefined) await chmod(folder, seenByAll);
  const made = new Set([folder]);
  for (const path of folders) await unhindered(path, () => makeFolders(folder, path, made));
  for (const { path, object } of files) {
    await unhindered(path, async () => {
      await makeFolders(folder, dirname(path), made);
      await layFile(folder, path, object);
    });
  }
  for (const { path, target } of links) {
    await unhindered(path, async () => {
      await makeFolders(folder, dirname(path), made);
      await replace(folder, path, (place) => symlink(target, place));
    });
  }
}

async function unhindered(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!['EEXIST', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw refused(
      'Another input has a folder where this one has a file, or a file where it has a folder.',
      { path },
      error,
    );
  }
}

async function makeFolders(root: string, path: string, made: Set<string>): Promise<void> {
  if (path === '.') return;
  let folder = root;
  for (const name of path.split('/')) {
    folder = join(folder, name);
    await makeFolder(folder, made);
  }
}

/** Whatever the umask says: whoever runs in a container has to be able to read it. */
async function makeFolder(folder: string, made: Set<string>): Promise<void> {
  if (made.has(folder)) return;
  try {
    await mkdir(folder);
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST' && (await lstat(folder)).isDirectory();
    if (!isThere) throw error;
  }
  await chmod(folder, seenByAll);
  made.add(folder);
}

async function layFile(folder: string, path: string, object: string): Promise<void> {
  const target = join(folder, path);
  try {
    await link(object, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const [there, wanted] = await Promise.all([lstat(target), lstat(object)]);
    if (there.ino !== wanted.ino) await replace(folder, path, (place) => link(object, place));
  }
}

/** Until it is in its place. No path that is judged has a control character, so nothing of an author is called so. */
const beingLaid = '.gpuaas-new\u{7f}';

/** At once, for whoever looks: one at a time in a folder. */
async function replace(folder: string, path: string, make: (place: string) => Promise<void>): Promise<void> {
  const beside = join(folder, beingLaid);
  await rm(beside, { force: true });
  await make(beside);
  await rename(beside, join(folder, path)).catch(async (trouble: unknown) => {
    await rm(beside, { force: true });
    throw trouble;
  });
}

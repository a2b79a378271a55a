/**
 * Opens folders without ever following a link: one component at a time, each relative to the handle of the one before.
 *
 * Node has no `openat`, but `/proc/self/fd/N/name` is the same thing: the kernel resolves `name` in the folder that the
 * handle holds, wherever somebody may have moved it. What was checked on a handle is what the handle keeps.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, readFile, readlink } from 'node:fs/promises';
import { AgentError } from '../contract/failures.ts';

const folderOnly = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Path by which the entry `name` of the open folder is reached, whatever lies at the folder's old path by now. */
export function entryOf(folder: FileHandle, name: string): string {
  return `/proc/self/fd/${folder.fd}/${name}`;
}

/** The folder at this absolute path, where every component is a real folder. The caller closes it. */
export async function openFolder(path: string): Promise<FileHandle> {
  let folder = await open('/', folderOnly);
  let reached = '';
  for (const name of path.split('/').slice(1)) {
    reached += `/${name}`;
    folder = await stepInto(folder, name, reached);
  }
  return folder;
}

/** The subfolder `name` of `parent`, which is closed in any case. `path` is for the message of a refusal. */
export async function stepInto(parent: FileHandle, name: string, path: string): Promise<FileHandle> {
  try {
    return await openChild(parent, name, path);
  } finally {
    await parent.close();
  }
}

/** The subfolder `name` of `parent`; `mount.refused` if it is a link or no folder. An absent one is ENOENT. */
export async function openChild(parent: FileHandle, name: string, path: string): Promise<FileHandle> {
  if (name === '' || name === '.' || name === '..' || name.includes('/')) {
    throw refuseFolder(path, 'is not written plainly');
  }
  try {
    return await open(entryOf(parent, name), folderOnly);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR' || code === 'ELOOP') throw refuseFolder(path, 'is a link or not a folder', error);
    if (code === 'EACCES' || code === 'EPERM') throw refuseFolder(path, `cannot be opened (${code})`, error);
    throw error;
  }
}

/** What a folder is known by wherever it is moved. */
export interface FolderId {
  readonly dev: bigint;
  readonly ino: bigint;
}

export async function folderId(folder: FileHandle): Promise<FolderId> {
  const { dev, ino } = await folder.stat({ bigint: true });
  return { dev, ino };
}

export function isSameFolder(a: FolderId, b: FolderId): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** Number of the mount that the folder lies on. Two folders with the same number have no mount between them. */
export async function mountIdOf(folder: FileHandle): Promise<number> {
  const info = await readFile(`/proc/self/fdinfo/${folder.fd}`, 'utf8');
  return Number(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1]);
}

/** Where the folder lies now, as the kernel says it. */
export async function pathOf(folder: FileHandle): Promise<string> {
  return await readlink(`/proc/self/fd/${folder.fd}`);
}

/** Refuses a folder of anybody but the given users. */
export function assertOwner({ uid }: Stats, path: string, owners: readonly number[]): void {
  if (!owners.includes(uid)) throw refuseFolder(path, `belongs to user ${uid}`);
}

/** `what` completes the sentence that begins with the path. */
export function refuseFolder(path: string, what: string, cause?: unknown): AgentError {
  return new AgentError('mount.refused', { path, reason: `${path} ${what}.` }, { cause });
}

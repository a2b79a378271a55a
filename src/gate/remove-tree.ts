/**
 * Removes a folder of the allocation's user with everything in it, as root, while that user may be moving things.
 *
 * Every step is relative to an open handle and follows no link, so nothing outside is ever touched: a link is removed
 * as a link, a folder is entered only by opening it from its parent. Another file system in the tree is not entered.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, opendir, rename, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { AgentError } from '../contract/failures.ts';
import {
  entryOf,
  folderId,
  isSameFolder,
  mountIdOf,
  openChild,
  openFolder,
  pathOf,
  refuseFolder,
} from './safe-folders.ts';

/** Folders held open at once; a deeper one is moved up to the root of the tree first. */
const maxDepth = 64;
const defaultMaxMs = 240_000;

interface Tree {
  readonly path: string;
  /** The only mount that is worked on. */
  readonly mountId: number;
  readonly until: number;
  /** Ends the work half done: the next call goes on with it. */
  readonly signal: AbortSignal | undefined;
  /** Takes in what lies too deep. */
  readonly root: FileHandle;
}

export interface RemoveOptions {
  readonly maxMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * False if there was nothing. What is no folder is removed as what it is, a link as a link. `mount.refused` if the path
 * above is not made of real folders, a mount is in the tree, or somebody fills it as fast as it is emptied for `maxMs`.
 * Throws the reason of the signal.
 */
export async function removeTree(path: string, { maxMs = defaultMaxMs, signal }: RemoveOptions = {}): Promise<boolean> {
  const parent = await ifPresent(openFolder(dirname(path)));
  if (parent === undefined) return false;
  try {
    const mountId = await mountIdOf(parent);
    const entry = entryOf(parent, basename(path));
    const what = await unlinkEntry(entry, path);
    if (what !== 'folder') return what === 'unlinked';
    const root = await ifPresent(openChild(parent, basename(path), path));
    if (root === undefined) return false;
    const tree = { path, mountId, until: performance.now() + maxMs, signal, root };
    if (!(await removeFolder(root, entry, tree, 1))) throw refuseFolder(path, 'was replaced while it was emptied');
    return true;
  } finally {
    await parent.close();
  }
}

/**
 * Empties the open folder and removes it as `entry`, again until both hold; closes it in any case. False if another
 * folder is at `entry` by now: that one is left to the next pass over the parent.
 */
async function removeFolder(folder: FileHandle, entry: string, tree: Tree, depth: number): Promise<boolean> {
  try {
    if ((await mountIdOf(folder)) !== tree.mountId) {
      throw refuseFolder(tree.path, `has another file system mounted in it, at ${await pathOf(folder)}`);
    }
    for (;;) {
      // Also where there is nothing to list: a turn that removes nothing must not be repeated for ever.
      assertMayGoOn(tree);
      for await (const { name } of await opendir(`/proc/self/fd/${folder.fd}`)) {
        assertMayGoOn(tree);
        await removeEntry(folder, name, tree, depth);
      }
      if (await isRemoved(entry)) return true;
      if (!(await isStillAt(folder, entry))) return false;
    }
  } finally {
    await folder.close();
  }
}

function assertMayGoOn({ path, until, signal }: Tree): void {
  signal?.throwIfAborted();
  if (performance.now() > until) throw refuseFolder(path, 'is still being written to');
}

async function removeEntry(folder: FileHandle, name: string, tree: Tree, depth: number): Promise<void> {
  const entry = entryOf(folder, name);
  if ((await unlinkEntry(entry, tree.path)) !== 'folder') return;
  if (depth >= maxDepth) {
    // Emptied from there by a later pass, with few folders open.
    await ifPresent(rename(entry, entryOf(tree.root, `.deep-${randomBytes(8).toString('hex')}`)));
    return;
  }
  const child = await openNow(folder, name, tree.path);
  if (child !== undefined) await removeFolder(child, entry, tree, depth + 1);
}

/** Takes away what is no folder, and says what was there. */
async function unlinkEntry(entry: string, path: string): Promise<'unlinked' | 'absent' | 'folder'> {
  try {
    await unlink(entry);
    return 'unlinked';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'absent';
    if (code === 'EISDIR') return 'folder';
    if (code === 'EPERM') throw refuseFolder(path, 'holds something that cannot be removed', error);
    if (code === 'EBUSY') throw refuseFolder(path, `has a file mounted in it, ${basename(entry)}`, error);
    throw error;
  }
}

/** False if it was filled again. What has become a link or a file meanwhile is met by the next pass over its parent. */
async function isRemoved(entry: string): Promise<boolean> {
  try {
    await rmdir(entry);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    if (code === 'ENOENT' || code === 'ENOTDIR') return true;
    throw error;
  }
}

/** False if something else took the place of the open folder. */
async function isStillAt(folder: FileHandle, entry: string): Promise<boolean> {
  const found = await ifPresent(lstat(entry, { bigint: true }));
  return found !== undefined && isSameFolder(found, await folderId(folder));
}

/** Undefined for what has become a link or a file since it was listed: the next pass removes it as such. */
async function openNow(parent: FileHandle, name: string, path: string): Promise<FileHandle | undefined> {
  try {
    return await ifPresent(openChild(parent, name, path));
  } catch (error) {
    if (error instanceof AgentError) return undefined;
    throw error;
  }
}

async function ifPresent<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}

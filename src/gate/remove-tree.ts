/**
 * Removes a folder of the allocation's user with everything in it, as root, while that user may be moving things.
 *
 * Every step is relative to an open handle and follows no link, so nothing outside is ever touched: a link is removed
 * as a link, a folder is entered only by opening it from its parent. Another file system in the tree is not entered.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, opendir, rename, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { AgentError } from '../contract/failures.ts';
import { entryOf, mountIdOf, openChild, openFolder, refuseFolder } from './safe-folders.ts';

/** Folders held open at once; a deeper one is moved up to the root of the tree first. */
const maxDepth = 64;
const defaultMaxMs = 240_000;

interface Tree {
  readonly path: string;
  /** The only mount that is worked on. */
  readonly mountId: number;
  readonly until: number;
  /** Takes in what lies too deep. */
  readonly root: FileHandle;
}

/**
 * False if there was nothing. `mount.refused` if the path is not made of real folders, a mount is in the tree, or
 * somebody fills it as fast as it is emptied for `maxMs`.
 */
export async function removeTree(path: string, { maxMs = defaultMaxMs } = {}): Promise<boolean> {
  const parent = await ifPresent(openFolder(dirname(path)));
  if (parent === undefined) return false;
  try {
    const mountId = await mountIdOf(parent);
    const root = await ifPresent(openChild(parent, basename(path), path));
    if (root === undefined) return false;
    await removeFolder(
      root,
      entryOf(parent, basename(path)),
      { path, mountId, until: performance.now() + maxMs, root },
      1,
    );
    return true;
  } finally {
    await parent.close();
  }
}

/** Empties the open folder and removes it as `entry`, again until both hold; closes it in any case. */
async function removeFolder(folder: FileHandle, entry: string, tree: Tree, depth: number): Promise<void> {
  try {
    if ((await mountIdOf(folder)) !== tree.mountId) {
      throw refuseFolder(tree.path, 'has another file system mounted in it');
    }
    do {
      for await (const { name } of await opendir(`/proc/self/fd/${folder.fd}`)) {
        if (performance.now() > tree.until) throw refuseFolder(tree.path, 'is still being written to');
        await removeEntry(folder, name, tree, depth);
      }
    } while (!(await isRemoved(entry)));
  } finally {
    await folder.close();
  }
}

async function removeEntry(folder: FileHandle, name: string, tree: Tree, depth: number): Promise<void> {
  const entry = entryOf(folder, name);
  if (await isUnlinked(entry, tree)) return;
  if (depth >= maxDepth) {
    // Emptied from there by a later pass, with few folders open.
    await ifPresent(rename(entry, entryOf(tree.root, `.deep-${randomBytes(8).toString('hex')}`)));
    return;
  }
  const child = await openNow(folder, name, tree.path);
  if (child !== undefined) await removeFolder(child, entry, tree, depth + 1);
}

/** True if it was no folder and is gone now. */
async function isUnlinked(entry: string, tree: Tree): Promise<boolean> {
  try {
    await unlink(entry);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    if (code === 'EISDIR') return false;
    if (code === 'EPERM') throw refuseFolder(tree.path, 'holds something that cannot be removed', error);
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

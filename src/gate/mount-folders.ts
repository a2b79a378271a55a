/**
 * Prepares the folders on the host that a container mounts.
 *
 * They lie in the home of the allocation's user, who may change anything there at any time, also between a check and
 * its use. So nothing here trusts a path twice: folders are opened without following links, made and given away by
 * handle, and what the kernel really mounted is compared after the start (verify-mounts.ts).
 */
import { type FileHandle, lstat, readdir, readFile, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AgentError } from '../contract/failures.ts';
import { KeyedMutex } from '../kit/mutex.ts';
import { dataRoots, type HostPolicy } from '../policy/host-policy.ts';
import type { MountObject } from './engine-objects.ts';
import { openInputs } from './job-inputs.ts';
import { makeFolder } from './make-folder.ts';
import { parseMountTable, placeOf } from './mount-table.ts';
import {
  assertOwner,
  entryOf,
  type FolderId,
  folderId,
  mountIdOf,
  openChild,
  openFolder,
  pathOf,
  refuseFolder,
} from './safe-folders.ts';

/** One bind mount whose folder was found in order, with the place the kernel must show for it. */
export interface PreparedMount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly device: string;
  readonly root: string;
  /** The folder itself, whatever its place: numbers of its file system and its inode. */
  readonly folder: FolderId;
}

export interface PreparedMounts {
  readonly mounts: readonly PreparedMount[];
  /** Folders of the workload that did not exist before, outermost first. */
  readonly created: readonly string[];
}

const parentMode = 0o750;
const mountMode = 0o700;

/**
 * Makes missing folders and checks all of them; `mount.refused` with the path of the first that is not in order, after
 * which nothing that was made is left. The folders are added to `held` open, for the caller to close; without it they
 * are closed. While a folder is held, its number cannot pass to another.
 */
export async function prepareMounts(
  mounts: readonly MountObject[],
  policy: HostPolicy,
  held?: FileHandle[],
): Promise<PreparedMounts> {
  const created: string[] = [];
  try {
    const prepared: PreparedMount[] = [];
    const binds = mounts.filter(({ Type }) => Type !== 'volume');
    for (const { Source: source = '', Target: target = '', ReadOnly: readOnly = false } of binds) {
      const folder = await openMountFolder(source, policy, created);
      try {
        const place = await whereIs(folder, source);
        prepared.push({ source, target, readOnly, ...place, folder: await folderId(folder) });
      } finally {
        if (held === undefined) await folder.close();
        else held.push(folder);
      }
    }
    return { mounts: prepared, created };
  } catch (error) {
    await removeCreated(created);
    throw error;
  }
}

/**
 * The folders above the mounts, each with the time of its last change. Whoever moves one of them, or a mounted folder,
 * and moves it back leaves another time behind, on itself and on the folder above: the kernel sets it, and no user can.
 * The two in which all workloads have theirs change with each neighbour that comes or goes, so they count without a time.
 */
export async function stateAbove(mounts: readonly PreparedMount[], policy: HostPolicy) {
  const { home } = policy.allocation;
  const above = new Set<string>();
  for (const { source } of mounts) {
    for (let path = dirname(source); path.startsWith(`${home}/`); path = dirname(path)) above.add(path);
  }
  const states = [...above].map(async (path) => {
    const { dev, ino, ctimeNs } = await lstat(path, { bigint: true });
    return `${path} ${dev} ${ino} ${dataRoots(policy).includes(path) ? '' : ctimeNs}`;
  });
  return (await Promise.all(states)).join('\n');
}

/** Takes back what `prepareMounts` made, as far as it is still empty. */
export async function removeCreated(created: readonly string[]): Promise<void> {
  for (const path of created.toReversed()) {
    try {
      const parent = await openFolder(dirname(path));
      try {
        await rmdir(entryOf(parent, path.slice(path.lastIndexOf('/') + 1)));
      } finally {
        await parent.close();
      }
    } catch (error) {
      // Somebody was quicker: it is gone, in use, or lies elsewhere now. Then it is not ours to remove.
      const { code } = error as NodeJS.ErrnoException;
      if (!(error instanceof AgentError) && !['ENOENT', 'ENOTEMPTY', 'ENOTDIR'].includes(code ?? '')) throw error;
    }
  }
}

async function openMountFolder(source: string, policy: HostPolicy, created: string[]): Promise<FileHandle> {
  const { home, uid } = policy.allocation;
  if (source.startsWith(`${policy.secrets_dir}/`)) {
    return await openOwned(source, uid);
  }
  if (source.startsWith(`${policy.inputs.dir}/jobs/`)) {
    return await openInputs(source);
  }
  if (!source.startsWith(`${home}/gpuaas/`)) {
    throw refuseFolder(source, "is outside the allocation user's data");
  }

  let folder = await openPresent(home, "does not exist: the allocation's user needs a home");
  try {
    assertOwner(await folder.stat(), home, [0, uid]);
    const names = source.slice(home.length + 1).split('/');
    for (const [index, name] of names.entries()) {
      const isMount = index === names.length - 1;
      const path = `${home}/${names.slice(0, index + 1).join('/')}`;
      const next = await ensureChild(folder, name, path, isMount ? mountMode : parentMode, policy, created);
      await folder.close();
      folder = next;
      if (path === `${home}/gpuaas`) await ensureShared(folder, source, policy);
      // The mounted folder itself must be the user's own: what root keeps in a home with
      // rights for its group must not come into reach by being moved here.
      assertOwner(await folder.stat(), path, isMount ? [uid] : [0, uid]);
    }
    return folder;
  } catch (error) {
    await folder.close();
    throw error;
  }
}

async function openOwned(path: string, uid: number): Promise<FileHandle> {
  const folder = await openPresent(path, 'is gone, as all in memory is after a boot: launch the workload again');
  if ((await folder.stat()).uid === uid) return folder;
  await folder.close();
  throw refuseFolder(path, 'does not belong to the allocation user');
}

/** `otherwise` says what it means that the folder is not there. */
async function openPresent(path: string, otherwise: string): Promise<FileHandle> {
  try {
    return await openFolder(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw refuseFolder(path, otherwise, error);
  }
}

/**
 * Makes what workloads share beside that which `source` lies in: the time of the folder above counts, and must not change by a
 * neighbour who is the first with the other.
 */
async function ensureShared(folder: FileHandle, source: string, policy: HostPolicy): Promise<void> {
  for (const path of dataRoots(policy).filter((root) => !source.startsWith(`${root}/`))) {
    const child = await ensureChild(folder, path.slice(path.lastIndexOf('/') + 1), path, parentMode, policy, []);
    await child.close();
  }
}

/** Who finds a folder that another is about to give away would put something into it, and so make it look replaced. */
const making = new KeyedMutex();

async function ensureChild(
  parent: FileHandle,
  name: string,
  path: string,
  mode: number,
  policy: HostPolicy,
  created: string[],
): Promise<FileHandle> {
  return await making.run(path, async () => {
    try {
      return await openChild(parent, name, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    return await makeChild(parent, name, path, mode, policy, created);
  });
}

/**
 * Makes a folder and gives it to the user by handle. What is opened after `mkdir` may already be another folder that
 * the user moved there, so it is given away only if it is root's, closed to others and empty: as it was made.
 */
async function makeChild(
  parent: FileHandle,
  name: string,
  path: string,
  mode: number,
  { allocation: { uid, gid, home } }: HostPolicy,
  created: string[],
): Promise<FileHandle> {
  const isNew = await makeFolder(entryOf(parent, name), path);
  const folder = await openChild(parent, name, path);
  try {
    if (!isNew) return folder;
    // Storage of a project, and the folders above, belong to others as well: they are never taken back.
    if (path.startsWith(`${home}/gpuaas/workloads/`)) created.push(path);
    const made = await folder.stat();
    const content = await readdir(`/proc/self/fd/${folder.fd}`);
    if (made.uid !== process.geteuid?.() || (made.mode & 0o777) !== 0o700 || content.length > 0) {
      throw refuseFolder(path, 'was replaced while it was made');
    }
    await folder.chown(uid, gid);
    await folder.chmod(mode);
    return folder;
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** Device and root that a bind mount of this folder shows. A folder that is not at its path any more is refused. */
async function whereIs(folder: FileHandle, path: string): Promise<{ device: string; root: string }> {
  if ((await pathOf(folder)) !== path) throw refuseFolder(path, 'was moved while it was checked');
  return placeOf(path, await mountIdOf(folder), parseMountTable(await readFile('/proc/self/mountinfo', 'utf8')));
}

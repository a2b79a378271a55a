/**
 * Folders for the inputs of jobs: `<inputs.dir>/jobs/<job>/<volume>`, which containers of that job may have mounted read-only.
 *
 * Such a container may be root. A folder that somebody swaps for a link between the check and the engine's mount would show it
 * the host, sockets and keys included, for the moment until the gate has looked and killed it. So what lies on the way to the
 * folder is root's (the gate's own user's) and nobody else can change it: the clients fill the folder, and cannot move it.
 */

import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { jobInputsRoot } from '../policy/host-policy.ts';
import { sendJson } from './answers.ts';
import type { GateCall, GateContext } from './context.ts';
import { instanceLock } from './locks.ts';
import { makeFolder } from './make-folder.ts';
import { entryOf, openChild, refuseFolder } from './safe-folders.ts';

/** Others of the host are kept out here, further down they need not be: what is mounted is below. */
const rootMode = 0o750;
const parentMode = 0o755;
/** For the clients to write into, and for whatever user the image says to read. */
const openMode = 0o775;

/** Answers with the path. What is there already stays as it is. */
export async function ensureInputs(call: GateCall, gate: GateContext): Promise<void> {
  const { instance = '', input = '' } = call.params;
  const { dir } = gate.policy.inputs;
  const job = jobInputsRoot(gate.policy, instance);
  const path = join(job, input);
  await gate.locks.run(instanceLock(instance), async () => {
    await ensure(dir, rootMode, gate);
    await ensure(join(dir, 'cache'), openMode, gate);
    await ensure(dirname(job), parentMode, gate);
    await ensure(job, parentMode, gate);
    // What the clients note about them. No volume has such a name, so no container sees it.
    await ensure(join(job, '.provided'), openMode, gate);
    await ensure(path, openMode, gate);
  });
  sendJson(call.response, 200, { path });
}

/** The folder, for which everything above it was found to be root's. The caller closes it. */
export async function openInputs(path: string): Promise<FileHandle> {
  const parent = await openSteadfast(dirname(path));
  try {
    const folder = await openChild(parent, basename(path), path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      throw refuseFolder(path, 'is gone: the inputs of the job have to be fetched again', error);
    });
    return await checked(folder, path, (stats) => isOwn(stats));
  } finally {
    await parent.close();
  }
}

async function ensure(path: string, mode: number, gate: GateContext): Promise<void> {
  const parent = await openSteadfast(dirname(path));
  try {
    await makeFolder(entryOf(parent, basename(path)), path);
    const folder = await openChild(parent, basename(path), path);
    try {
      const { uid, mode: found } = await folder.stat();
      // As it is made: by this call, or by one that was cut off there.
      if ((found & 0o777) !== 0o700) return;
      if (gate.clientGroup !== undefined && mode !== parentMode) await folder.chown(uid, gate.clientGroup);
      await folder.chmod(mode);
    } finally {
      await folder.close();
    }
  } finally {
    await parent.close();
  }
}

/** Every folder from the root on belongs to root or the gate's user, and no other may change what is in it. */
async function openSteadfast(path: string): Promise<FileHandle> {
  let folder = await open('/', constants.O_RDONLY | constants.O_DIRECTORY);
  let reached = '';
  for (const name of path.split('/').slice(1)) {
    const parent = folder;
    reached += `/${name}`;
    try {
      folder = await openChild(parent, name, reached).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
        throw refuseFolder(reached, 'does not exist', error);
      });
    } finally {
      await parent.close();
    }
    folder = await checked(folder, reached, isSteadfast);
  }
  return folder;
}

async function checked(folder: FileHandle, path: string, fine: (stats: Stats) => boolean): Promise<FileHandle> {
  if (fine(await folder.stat())) return folder;
  await folder.close();
  throw refuseFolder(path, 'can be changed by others than root, and containers that may be root have folders below it');
}

function isOwn({ uid }: Stats): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

/** In a sticky folder nobody moves what is not his. */
function isSteadfast(stats: Stats): boolean {
  return isOwn(stats) && ((stats.mode & 0o022) === 0 || (stats.mode & 0o1000) !== 0);
}

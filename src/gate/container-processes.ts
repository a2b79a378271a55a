/**
 * Finds the processes of the host whose mounts are those of a container.
 *
 * With an ordinary runtime that is the container's own first process. gVisor's sandbox process sees nothing of the host
 * at all: there the files are served by a second process, the gofer, and its mounts are what the workload reaches.
 */
import { constants } from 'node:fs';
import { open, readdir, readFile } from 'node:fs/promises';
import { type MountEntry, parseMountTable } from './mount-table.ts';
import { type FolderId, folderId, stepInto } from './safe-folders.ts';

/** argv[0] of gVisor's file server. Workloads are no processes of the host and cannot take the name. */
const goferName = 'runsc-gofer';

/** What one process sees mounted. */
export interface ProcessMounts {
  readonly pid: number;
  readonly table: readonly MountEntry[];
}

/** Mount tables to compare; throws if a process ends while it is read, or is not of this container. */
export async function mountTablesOf(pid: number, containerId: string, isGvisor: boolean): Promise<ProcessMounts[]> {
  const pids = isGvisor ? await findGofers(containerId) : [pid];
  if (pids.length === 0) throw new Error('the sandbox has no process that serves its files');
  return await Promise.all(pids.map(async (each) => ({ pid: each, table: await readMountTable(each, containerId) })));
}

async function readMountTable(pid: number, containerId: string): Promise<MountEntry[]> {
  const table = parseMountTable(await readFile(`/proc/${pid}/mountinfo`, 'utf8'));
  // Read last: if the number had passed to another process, its control group would not be the container's.
  const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8');
  if (!groups.includes(containerId)) throw new Error(`process ${pid} is not in the control group of the container`);
  if (table.length === 0) throw new Error(`process ${pid} shows no mounts`);
  return table;
}

/**
 * The folder that a process of the container sees at a target, by its number. Walked from the process's own root
 * without following links, so nothing the workload puts in the way can lead elsewhere.
 */
export async function folderSeenAt(pid: number, target: string): Promise<FolderId> {
  let folder = await open(`/proc/${pid}/root`, constants.O_RDONLY | constants.O_DIRECTORY);
  for (const name of target.split('/').slice(1)) folder = await stepInto(folder, name, target);
  try {
    return await folderId(folder);
  } finally {
    await folder.close();
  }
}

async function findGofers(containerId: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(async (pid) => ((await isGofer(pid, containerId)) ? [pid] : [])));
  return found.flat();
}

async function isGofer(pid: number, containerId: string): Promise<boolean> {
  try {
    const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8');
    if (!groups.includes(containerId)) return false;
    const [program] = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
    return program === goferName;
  } catch (error) {
    // Processes of all kinds come and go while this looks at them.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * CPU and memory that the workloads of this host may use together.
 *
 * The limits of the agent's own service do not count: containers live in the engine's cgroups. What bounds the whole
 * machine does: where this host is itself a container, the root of its cgroup tree has a limit.
 */
import { readFile, statfs } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { dirname, join } from 'node:path';

export interface HostTotals {
  /** Cores; a fraction where the machine has a quota. */
  readonly cpuCores: number;
  readonly memoryBytes: number;
}

export interface MemoryUse {
  readonly totalBytes: number;
  /** What could be given out now without swapping, page cache included. */
  readonly availableBytes: number;
  readonly swapBytes: number;
}

/** Takes well under a millisecond: it is on the way of each launch. */
export async function readTotals(root = '/', memoryBytes = totalmem()): Promise<HostTotals> {
  const [online, cpuQuota, memoryLimit] = await Promise.all([onlineCpus(root), quotaOf(root), memoryLimitOf(root)]);
  return { cpuCores: Math.min(online, cpuQuota), memoryBytes: Math.min(memoryBytes, memoryLimit) };
}

/** How much of the memory is in use now, by anybody. */
export async function readMemoryUse(): Promise<MemoryUse> {
  // Loaded on first use: it costs 45 ms and 13 MB. `mem` reads /proc/meminfo and starts no program.
  const { mem } = await import('systeminformation');
  const { total, available, swaptotal } = await mem();
  return { totalBytes: total, availableBytes: available, swapBytes: swaptotal };
}

export interface DiskSpace {
  readonly totalBytes: number;
  /** What an unprivileged process may still write. */
  readonly freeBytes: number;
  /** Share of the file entries that is free, 0 to 1; 1 where the file system has no fixed number of them. */
  readonly freeEntries: number;
}

/** The file system that holds `path`, or will: a folder that is not there or not for us yet counts as its parent. */
export async function readDisk(path: string): Promise<DiskSpace> {
  try {
    const { bsize, blocks, bavail, files, ffree } = await statfs(path);
    return { totalBytes: bsize * blocks, freeBytes: bsize * bavail, freeEntries: files > 0 ? ffree / files : 1 };
  } catch (error) {
    if (['ENOENT', 'EACCES'].includes(String((error as NodeJS.ErrnoException).code)) && path !== dirname(path)) {
      return await readDisk(dirname(path));
    }
    throw error;
  }
}

/** Not `os.availableParallelism`: that follows affinity and quota of this very process. */
async function onlineCpus(root: string): Promise<number> {
  const list = await read(join(root, 'sys/devices/system/cpu/online'));
  const count = list === undefined ? 0 : list.split(',').reduce((sum, range) => sum + lengthOf(range), 0);
  return count > 0 ? count : cpus().length;
}

/** `4-7` is 4, `2` is 1. */
function lengthOf(range: string): number {
  const [first, last = first] = range.split('-').map(Number);
  const length = Number(last) - Number(first) + 1;
  return Number.isInteger(length) && length > 0 ? length : 0;
}

/** Cores; Infinity without a quota. */
async function quotaOf(root: string): Promise<number> {
  const v2 = await read(join(root, 'sys/fs/cgroup/cpu.max'));
  const [quota, period] =
    v2?.split(' ') ??
    (await Promise.all([
      read(join(root, 'sys/fs/cgroup/cpu/cpu.cfs_quota_us')),
      read(join(root, 'sys/fs/cgroup/cpu/cpu.cfs_period_us')),
    ]));
  const cores = Number(quota) / Number(period);
  return cores > 0 ? cores : Number.POSITIVE_INFINITY;
}

/** Bytes; Infinity without a limit. The first version writes an absurdly large number for none. */
async function memoryLimitOf(root: string): Promise<number> {
  const text =
    (await read(join(root, 'sys/fs/cgroup/memory.max'))) ??
    (await read(join(root, 'sys/fs/cgroup/memory/memory.limit_in_bytes')));
  const bytes = Number(text);
  return bytes > 0 ? bytes : Number.POSITIVE_INFINITY;
}

async function read(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EOPNOTSUPP'].includes(String((error as NodeJS.ErrnoException).code))) {
      return undefined;
    }
    throw error;
  }
}

/** What of the machine is in use now, by anybody. Reads files of the kernel only: cheap enough to ask every few seconds. */
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { readDisk } from './resources.ts';

export interface HostUse {
  /** CPU time since boot, of all cores together. */
  readonly cpuSeconds: number;
  /** Page cache left out. */
  readonly memoryUsedBytes: number;
  readonly memoryTotalBytes: number;
  readonly diskFreeBytes: number;
  readonly diskTotalBytes: number;
}

/** `diskPath`: a folder on the file system that is of interest. */
export async function readHostUse(diskPath: string, meminfo = '/proc/meminfo'): Promise<HostUse> {
  const [memory, disk] = await Promise.all([readFile(meminfo, 'utf8'), readDisk(diskPath)]);
  const total = bytesOf(memory, 'MemTotal');
  return {
    cpuSeconds: cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0) / 1000,
    memoryUsedBytes: Math.max(0, total - bytesOf(memory, 'MemAvailable')),
    memoryTotalBytes: total,
    diskFreeBytes: disk.freeBytes,
    diskTotalBytes: disk.totalBytes,
  };
}

function bytesOf(meminfo: string, name: string): number {
  return Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? 0) * 1024;
}

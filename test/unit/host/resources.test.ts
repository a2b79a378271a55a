import { readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readDisk, readMemoryUse, readTotals } from '../../../src/host/resources.ts';
import { pretendRoot, testFolder } from './stand-ins.ts';

const online = 'sys/devices/system/cpu/online';

it('counts the processors that are online', async () => {
  const root = pretendRoot({ [online]: '0-3,8,10-11\n' });

  expect(await readTotals(root, 4096)).toEqual({ cpuCores: 7, memoryBytes: 4096 });
});

it('keeps to the limits of the whole machine where that is itself a container', async () => {
  const unified = pretendRoot({
    [online]: '0-63',
    'sys/fs/cgroup/cpu.max': '350000 100000\n',
    'sys/fs/cgroup/memory.max': '1073741824\n',
  });
  const legacy = pretendRoot({
    [online]: '0-63',
    'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '200000\n',
    'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': '536870912\n',
  });

  expect(await readTotals(unified, 2 ** 40)).toEqual({ cpuCores: 3.5, memoryBytes: 2 ** 30 });
  expect(await readTotals(legacy, 2 ** 40)).toEqual({ cpuCores: 2, memoryBytes: 2 ** 29 });
});

it('takes "no limit" of either cgroup version as none', async () => {
  const unified = pretendRoot({
    [online]: '0-1',
    'sys/fs/cgroup/cpu.max': 'max 100000\n',
    'sys/fs/cgroup/memory.max': 'max\n',
  });
  const legacy = pretendRoot({
    [online]: '0-1',
    'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
    'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
  });

  expect(await readTotals(unified, 2 ** 34)).toEqual({ cpuCores: 2, memoryBytes: 2 ** 34 });
  expect(await readTotals(legacy, 2 ** 34)).toEqual({ cpuCores: 2, memoryBytes: 2 ** 34 });
});

it('reads the memory of this host as the kernel tells it', async () => {
  const kib = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);

  const use = await readMemoryUse();

  expect(use.totalBytes).toBe(kib('MemTotal') * 1024);
  expect(use.availableBytes).toBeGreaterThan(0);
  expect(use.availableBytes).toBeLessThanOrEqual(use.totalBytes);
});

it('measures the file system that will hold a folder that is not there yet', async () => {
  const folder = testFolder();
  const { blocks, bsize } = statfsSync(folder);

  const disk = await readDisk(join(folder, 'not/made/yet'));

  expect(disk.totalBytes).toBe(blocks * bsize);
  expect(disk.freeBytes).toBeGreaterThan(0);
  expect(disk.freeEntries).toBeGreaterThan(0);
  expect(disk.freeEntries).toBeLessThanOrEqual(1);
});

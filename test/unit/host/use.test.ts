import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readHostUse } from '../../../src/host/use.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('host-use');

it('tells what is in use, page cache left out', async () => {
  const file = join(folder, 'meminfo');
  writeFileSync(file, 'MemTotal:        8000 kB\nMemFree:          100 kB\nMemAvailable:    6000 kB\n');

  const use = await readHostUse(folder, file);

  expect(use).toMatchObject({ memoryTotalBytes: 8000 * 1024, memoryUsedBytes: 2000 * 1024 });
  expect(use.cpuSeconds).toBeGreaterThan(0);
  expect(use.diskFreeBytes).toBeLessThanOrEqual(use.diskTotalBytes);
});

it('reads this very machine', async () => {
  const use = await readHostUse('/');

  expect(use.memoryUsedBytes).toBeGreaterThan(0);
  expect(use.memoryUsedBytes).toBeLessThan(use.memoryTotalBytes);
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readKernelLog } from '../../../src/host/kernel-log.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('kernel-log');

it('gives each record its time since the boot, without the facts behind it', () => {
  const file = join(folder, 'kmsg');
  writeFileSync(
    file,
    '6,339,5140900,-;NET: Registered; all\n SUBSYSTEM=net\n3,340,6000000,-,caller=T1;Killed process 7\n',
  );

  expect(readKernelLog(file, Date.parse('2026-11-25T10:00:00Z'))).toEqual([
    { time: '2026-11-25T10:00:05.140Z', text: 'NET: Registered; all' },
    { time: '2026-11-25T10:00:06.000Z', text: 'Killed process 7' },
  ]);
});

it('is undefined where there is none', () => {
  expect(readKernelLog(join(folder, 'none'))).toBeUndefined();
});

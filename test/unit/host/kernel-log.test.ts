import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KernelLog, readKernelLog } from '../../../src/host/kernel-log.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('kernel-log');
const boot = Date.parse('2026-11-25T10:00:00Z');

it('gives each record its time since the boot, without the facts behind it', () => {
  const file = join(folder, 'kmsg');
  writeFileSync(
    file,
    '6,339,5140900,-;NET: Registered; all\n SUBSYSTEM=net\n3,340,6000000,-,caller=T1;Killed process 7\n',
  );

  expect(readKernelLog(file, boot)).toEqual([
    { time: '2026-11-25T10:00:05.140Z', text: 'NET: Registered; all' },
    { time: '2026-11-25T10:00:06.000Z', text: 'Killed process 7' },
  ]);
});

it('gives what has come since the last time, and half a line when the other half is there', () => {
  const file = join(folder, 'growing');
  writeFileSync(file, '6,1,1000000,-;one\n');
  using log = KernelLog.open(file, boot);

  const first = log?.read();
  appendFileSync(file, '6,2,2000000,-;two\n6,3,30000');
  const second = log?.read();
  appendFileSync(file, '00,-;three\n');
  const third = log?.read();

  expect([first, second, third, log?.read()].map((lines) => lines?.map(({ number, text }) => [number, text]))).toEqual([
    [[1, 'one']],
    [[2, 'two']],
    [[3, 'three']],
    [],
  ]);
});

it('reads many records of a file, however they fall on the pieces that are read', () => {
  const file = join(folder, 'long');
  const lines = Array.from({ length: 3000 }, (_, at) => `6,${at},${at}000000,-;line ${at}`);
  writeFileSync(file, `${lines.join('\n')}\n`);

  expect(readKernelLog(file, boot)?.map(({ text }) => text)).toEqual(lines.map((_, at) => `line ${at}`));
});

it('is undefined where there is none', () => {
  expect(readKernelLog(join(folder, 'none'))).toBeUndefined();
});

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { askDriver, pciAddress } from '../../../src/host/ask-driver.ts';
import { isLeftBehind } from '../../../src/host/run-program.ts';
import { nvidiaSmi } from '../../support/nvidia-smi.ts';
import { patience, testFolder } from './stand-ins.ts';

it('hangs no second process in a driver that still holds the first, and asks again when it lets go', async () => {
  const smi = nvidiaSmi(testFolder(), [{ uuid: 'GPU-1' }]);
  const tool = join(smi.folder, 'nvidia-smi');
  smi.hang();

  const first = await askDriver(tool, ['-L'], { timeoutMs: 300, signal: patience });
  // Killed, and the system has not said yet that it is gone: as long as this lasts, nobody is asked.
  expect(isLeftBehind(tool)).toBe(true);
  smi.show([{ uuid: 'GPU-1' }]);
  const second = await askDriver(tool, ['-L'], { timeoutMs: 60_000, signal: patience });
  await expect.poll(() => isLeftBehind(tool)).toBe(false);
  const third = await askDriver(tool, ['-L'], { timeoutMs: 60_000, signal: patience });

  expect([first.outcome, second.outcome]).toEqual(['timed_out', 'timed_out']);
  expect(third).toMatchObject({ outcome: 'exited', stdout: 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)' });
});

it('is told at once when whoever asked has gone', async () => {
  const smi = nvidiaSmi(testFolder());

  const asked = askDriver(join(smi.folder, 'nvidia-smi'), ['-L'], { timeoutMs: 1, signal: AbortSignal.abort('gone') });

  await expect(asked).rejects.toBe('gone');
});

it.each([
  ['00000000:17:00.0', '0000:17:00.0'],
  ['0000:C1:00.1', '0000:c1:00.1'],
  ['0000000F:01:00.0', '000f:01:00.0'],
  ['00010000:01:00.0', '10000:01:00.0'],
  ['17:00.0', null],
  ['0000:17:00.0/../..', null],
  ['[N/A]', null],
])('reads the PCI address %s as the kernel writes it', (written, address) => {
  expect(pciAddress(written)).toBe(address);
});

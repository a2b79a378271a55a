import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { nvidiaCardsOnBus, probeGpus } from '../../../src/host/gpus.ts';
import { sampleGpu } from '../../support/gpus.ts';
import { patience, pretendRoot, standIn, testFolder } from './stand-ins.ts';

const card = (uuid: string, name: string, memory_mib: number) =>
  sampleGpu({ uuid, name, memory_mib, driver: null, pci_address: null });
const h100 = 'GPU-2f0a1c3e-5b6d-47f8-9a0b-1c2d3e4f5a6b, NVIDIA H100 80GB HBM3, 81559';

it('reads the cards that the driver reports', async () => {
  const probe = await ask(`
    [ "$1" = --query-gpu=uuid,name,memory.total ] && [ "$2" = --format=csv,noheader,nounits ] || exit 2
    echo "${h100}"
    echo "GPU-00000000-0000-0000-0000-000000000001, Odd, Name, 1024"
    echo "GPU-00000000-0000-0000-0000-000000000002, NVIDIA GB10, [N/A]"`);

  expect(probe).toEqual({
    gpus: [
      card('GPU-2f0a1c3e-5b6d-47f8-9a0b-1c2d3e4f5a6b', 'NVIDIA H100 80GB HBM3', 81559),
      card('GPU-00000000-0000-0000-0000-000000000001', 'Odd, Name', 1024),
      card('GPU-00000000-0000-0000-0000-000000000002', 'NVIDIA GB10', 0),
    ],
    tool: expect.stringMatching(/nvidia-smi$/),
    reason: null,
  });
});

it('reports no card and no trouble without a driver', async () => {
  const probe = await probeGpus({ path: testFolder(), places: [], signal: patience });

  expect(probe).toEqual({ gpus: [], tool: null, reason: null });
});

it('gives a reason when the driver hangs, without waiting for it (FAULTS 30)', async () => {
  const probe = await ask("trap '' TERM; sleep 600", 300);

  expect(probe).toMatchObject({ gpus: [], reason: expect.stringContaining('the driver hangs') });
});

it('says what the exit code of the tool means', async () => {
  const probe = await ask(
    'echo "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."; exit 9',
  );

  expect(probe.gpus).toEqual([]);
  expect(probe.reason).toContain('ended with 9 (the driver is not loaded)');
  expect(probe.reason).toContain('could not communicate');
});

it('keeps the cards that answered when another fell off the bus', async () => {
  const probe = await ask(`echo "${h100}"; echo "Unable to determine the device handle for GPU 0000:41:00.0"; exit 15`);

  expect(probe.gpus).toHaveLength(1);
  expect(probe.reason).toContain('a card fell off the bus');
  expect(probe.reason).toContain('0000:41:00.0');
});

it('does not take a line for a card that has no UUID', async () => {
  const probe = await ask(`echo "0, NVIDIA H100, 81559"; echo "${h100}"`);

  expect(probe.gpus).toHaveLength(1);
  expect(probe.reason).toContain('cannot be read: 0, NVIDIA H100, 81559');
});

it('gives a reason when the tool cannot be run at all', async () => {
  const folder = testFolder();
  writeFileSync(join(folder, 'nvidia-smi'), '#!/does/not/exist\n');
  chmodSync(join(folder, 'nvidia-smi'), 0o755);

  const probe = await probeGpus({ path: folder, places: [], signal: patience });

  expect(probe).toMatchObject({ gpus: [], reason: expect.stringContaining('could not be run: ENOENT') });
});

it('counts NVIDIA display controllers on the bus, and neither other cards nor other functions of them', async () => {
  const bus = 'sys/bus/pci/devices';
  const root = pretendRoot({
    [`${bus}/0000:41:00.0/vendor`]: '0x10de\n',
    [`${bus}/0000:41:00.0/class`]: '0x030200\n',
    [`${bus}/0000:41:00.1/vendor`]: '0x10de\n',
    [`${bus}/0000:41:00.1/class`]: '0x040300\n',
    [`${bus}/0000:01:00.0/vendor`]: '0x1234\n',
    [`${bus}/0000:01:00.0/class`]: '0x030000\n',
  });

  expect(await nvidiaCardsOnBus(root)).toEqual(['0000:41:00.0']);
  expect(await nvidiaCardsOnBus(testFolder())).toEqual([]);
});

async function ask(script: string, timeoutMs = 5000) {
  const folder = testFolder();
  standIn(folder, 'nvidia-smi', script);
  return await probeGpus({ path: folder, places: [], timeoutMs, signal: patience });
}

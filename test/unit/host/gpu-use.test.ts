import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { GpuUseReader } from '../../../src/host/gpu-use.ts';
import { sampleGpu } from '../../support/gpus.ts';
import { nvidiaSmi } from '../../support/nvidia-smi.ts';
import { patience, pretendRoot, standIn, testFolder } from './stand-ins.ts';

const part = sampleGpu({ uuid: 'MIG-1', memory_mib: 10_240, mig: { parent: 'GPU-2', profile: '1g.10gb' } });
const lost = sampleGpu({ uuid: 'GPU-lost' });

it('reads the use of all cards by one call, and what a card does not tell as nothing', async () => {
  const smi = nvidiaSmi(testFolder(), [
    { uuid: 'GPU-1', use: '37, 40960, 81559, 61, 412.50' },
    { uuid: 'GPU-2', use: '[N/A], 512, 81559, 31, [Unknown Error]', parts: [{ uuid: 'MIG-1', profile: '1g.10gb' }] },
  ]);
  const reader = new GpuUseReader({ path: smi.folder, places: [] });

  const uses = await reader.read([part, sampleGpu(), lost], patience);

  expect(uses).toEqual([
    {
      ...{ uuid: 'MIG-1', utilization_percent: null, memory_used_mib: null, memory_total_mib: 10_240 },
      ...{ temperature_celsius: 31, power_watts: null },
    },
    {
      ...{ uuid: 'GPU-1', utilization_percent: 37, memory_used_mib: 40_960, memory_total_mib: 81_559 },
      ...{ temperature_celsius: 61, power_watts: 412.5 },
    },
  ]);
});

it.each([
  ['hangs', "trap '' TERM; sleep 600"],
  ['ends in an error', 'echo "No devices were found"; exit 6'],
  ['talks nonsense', 'echo "GPU-1, 3"; echo "--x, 1, 2, 3, 4, 5"; echo "GPU-1,1,1,1,1,1"'],
])('knows nothing where the tool %s', async (_what, script) => {
  const folder = testFolder();
  standIn(folder, 'nvidia-smi', script);
  const reader = new GpuUseReader({ path: folder, places: [], timeoutMs: 300 });

  expect(await reader.read([sampleGpu()], patience)).toEqual([]);
});

it('starts no program on a host without cards', async () => {
  const folder = testFolder();
  standIn(folder, 'nvidia-smi', `: > ${folder}/started`);

  expect(await new GpuUseReader({ path: folder, places: [] }).read([], patience)).toEqual([]);
  expect(existsSync(join(folder, 'started'))).toBe(false);
});

it('reads the use of AMD cards from the files of their driver', async () => {
  const device = 'sys/bus/pci/devices/0000:05:00.0';
  const amd = sampleGpu({ uuid: 'GPU-a', vendor: 'amd', memory_mib: 196_592, pci_address: '0000:05:00.0' });
  const bare = sampleGpu({ uuid: 'GPU-b', vendor: 'amd', memory_mib: 1024, pci_address: '0000:06:00.0' });
  const root = pretendRoot({
    [`${device}/gpu_busy_percent`]: '42\n',
    [`${device}/mem_info_vram_used`]: '2147483648\n',
    [`${device}/hwmon/hwmon7/temp1_input`]: '36000\n',
    [`${device}/hwmon/hwmon7/power1_input`]: '239000000\n',
  });

  const uses = await new GpuUseReader({ path: undefined, places: [], root }).read([amd, bare], patience);

  expect(uses).toEqual([
    {
      ...{ uuid: 'GPU-a', utilization_percent: 42, memory_used_mib: 2048, memory_total_mib: 196_592 },
      ...{ temperature_celsius: 36, power_watts: 239 },
    },
    {
      ...{ uuid: 'GPU-b', utilization_percent: null, memory_used_mib: null, memory_total_mib: 1024 },
      ...{ temperature_celsius: null, power_watts: null },
    },
  ]);
});

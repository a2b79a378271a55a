import { join } from 'node:path';
import { expect, it } from 'vitest';
import { probeGpuLinks } from '../../../src/host/gpu-topology.ts';
import { nvidiaSmi } from '../../support/nvidia-smi.ts';
import { patience, standIn, testFolder } from './stand-ins.ts';

const topo = join(import.meta.dirname, '../../../fixtures/gpus/nvidia-smi-topo.txt');
const list = [0, 1, 2, 3].map((at) => `echo "GPU ${at}: NVIDIA A100-SXM4-80GB (UUID: GPU-${'abcd'[at]})"`).join('; ');
it('reads the links between cards, and none to network cards', async () => {
  const links = await ask(`case "$1" in -L) ${list} ;; *) cat ${topo} ;; esac`);

  expect([...links.keys()]).toEqual(['GPU-a', 'GPU-b', 'GPU-c', 'GPU-d']);
  expect([...(links.get('GPU-a') ?? [])]).toEqual([
    ['GPU-b', 'NV3'],
    ['GPU-c', 'SYS'],
    ['GPU-d', 'SYS'],
  ]);
  expect([links.get('GPU-b')?.get('GPU-a'), links.get('GPU-d')?.get('GPU-c')]).toEqual(['NV3', 'PXB']);
});

it('reads a head that is underlined for a terminal', async () => {
  const underlined = `printf '\\t\\033[4mGPU0\\tGPU1\\tCPU Affinity\\033[0m\\nGPU0\\t X \\tPHB\\t0-11\\nGPU1\\tPHB\\t X \\t0-11\\n'`;
  const links = await ask(`case "$1" in -L) ${list} ;; *) ${underlined} ;; esac`);

  expect(links.get('GPU-a')?.get('GPU-b')).toBe('PHB');
});

it.each([
  ['hangs', 'sleep 600'],
  ['ends in an error', 'exit 9'],
  ['talks nonsense', 'echo "GPU0\tGPU0\t../..\tNV\tNV9999"'],
])('knows of no links where the tool %s', async (_what, script) => {
  expect(await ask(script, 300)).toEqual(new Map());
});

it('knows of no links where there is no driver', async () => {
  expect(await probeGpuLinks({ path: testFolder(), places: [], signal: patience })).toEqual(new Map());
});

it('understands the stand-in that other tests choose cards with', async () => {
  const smi = nvidiaSmi(testFolder(), [{ uuid: 'GPU-a' }, { uuid: 'GPU-b' }]);

  const links = await probeGpuLinks({ path: smi.folder, places: [], signal: patience });

  expect(links.get('GPU-a')?.get('GPU-b')).toBe('NV18');
});

async function ask(script: string, timeoutMs = 5000) {
  const folder = testFolder();
  standIn(folder, 'nvidia-smi', script);
  return await probeGpuLinks({ path: folder, places: [], timeoutMs, signal: patience });
}

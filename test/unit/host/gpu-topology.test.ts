import { join } from 'node:path';
import { expect, it } from 'vitest';
import { linkBetween, probeGpuLinks } from '../../../src/host/gpu-topology.ts';
import { sampleGpu } from '../../support/gpus.ts';
import { nvidiaSmi } from '../../support/nvidia-smi.ts';
import { patience, standIn, testFolder } from './stand-ins.ts';

const topo = join(import.meta.dirname, '../../../fixtures/gpus/nvidia-smi-topo.txt');
const list = [0, 1, 2, 3].map((at) => `echo "GPU ${at}: NVIDIA A100-SXM4-80GB (UUID: GPU-${'abcd'[at]})"`).join('; ');
const card = (uuid: string) => sampleGpu({ uuid });
const [a, b, c, d] = [card('GPU-a'), card('GPU-b'), card('GPU-c'), card('GPU-d')] as const;

it('reads the links between cards, and none to network cards', async () => {
  const links = await ask(`case "$1" in -L) ${list} ;; *) cat ${topo} ;; esac`);

  expect([...links.keys()]).toEqual(['GPU-a', 'GPU-b', 'GPU-c', 'GPU-d']);
  expect([...(links.get('GPU-a') ?? [])]).toEqual([
    ['GPU-b', 'NV3'],
    ['GPU-c', 'SYS'],
    ['GPU-d', 'SYS'],
  ]);
  expect([linkBetween(links, b, a), linkBetween(links, d, c), linkBetween(links, a, a)]).toEqual([
    'NV3',
    'PXB',
    undefined,
  ]);
});

it('reads a head that is underlined for a terminal', async () => {
  const underlined = `printf '\\t\\033[4mGPU0\\tGPU1\\tCPU Affinity\\033[0m\\nGPU0\\t X \\tPHB\\t0-11\\nGPU1\\tPHB\\t X \\t0-11\\n'`;
  const links = await ask(`case "$1" in -L) ${list} ;; *) ${underlined} ;; esac`);

  expect(linkBetween(links, a, b)).toBe('PHB');
});

it('links parts of cards as their cards are linked', async () => {
  const links = await ask(`case "$1" in -L) ${list} ;; *) cat ${topo} ;; esac`);
  const partOf = (parent: string) => sampleGpu({ uuid: `MIG-of-${parent}`, mig: { parent, profile: '1g.10gb' } });

  expect(linkBetween(links, partOf('GPU-a'), partOf('GPU-b'))).toBe('NV3');
  expect(linkBetween(links, partOf('GPU-a'), partOf('GPU-a'))).toBeUndefined();
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

  expect(linkBetween(links, a, b)).toBe('NV18');
});

async function ask(script: string, timeoutMs = 5000) {
  const folder = testFolder();
  standIn(folder, 'nvidia-smi', script);
  return await probeGpuLinks({ path: folder, places: [], timeoutMs, signal: patience });
}

/** What a real card says: an NVIDIA H100 80GB HBM3 under driver 580.159.04, another UUID put in the place of its own. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { probeGpuLinks } from '../../../src/host/gpu-topology.ts';
import { GpuUseReader } from '../../../src/host/gpu-use.ts';
import { probeGpus } from '../../../src/host/gpus.ts';
import { readKernelLog } from '../../../src/host/kernel-log.ts';
import { isDriverLoad, readXid } from '../../../src/host/xid.ts';
import { sampleGpu } from '../../support/gpus.ts';
import { patience, pretendRoot, standIn, testFolder } from './stand-ins.ts';

const said = join(import.meta.dirname, '../../../fixtures/gpus/h100-580');
const card = sampleGpu({
  ...{ uuid: 'GPU-1f0e2d3c-4b5a-6978-8796-a5b4c3d2e1f0', name: 'NVIDIA H100 80GB HBM3', memory_mib: 81_559 },
  ...{ driver: '580.159.04', pci_address: '0000:00:06.0' },
});

/** A folder whose `nvidia-smi` repeats what the real one said, while the card was idle or at work. */
function repeating(use: 'idle' | 'busy'): string {
  const folder = testFolder();
  standIn(
    folder,
    'nvidia-smi',
    `case "$*" in
      --query-gpu=uuid,name,*) cat ${said}/query-inventory.csv ;;
      --query-gpu=uuid,utilization*) cat ${said}/query-use-${use}.csv ;;
      -L) cat ${said}/list.txt ;;
      "topo -m") cat ${said}/topo.txt ;;
      *) exit 2 ;;
    esac`,
  );
  return folder;
}

it('is a healthy whole card', async () => {
  const { gpus, drivers } = await probeGpus({
    path: repeating('idle'),
    ...{ places: [], root: pretendRoot({}), signal: patience },
  });

  expect(gpus).toEqual([card]);
  expect(drivers).toMatchObject([{ vendor: 'nvidia', partitioned: [], reason: null }]);
});

it.each([
  ['idle', [0, 0, 81_559, 37, 73.42]],
  ['busy', [100, 8721, 81_559, 47, 435.79]],
] as const)('tells how much of it is in use: %s', async (use, figures) => {
  const reader = new GpuUseReader({ path: repeating(use), places: [] });

  const [sample] = await reader.read([card], patience);

  expect(Object.values(sample ?? {})).toEqual([card.uuid, ...figures]);
});

it('has no links to others, in a table that is underlined though no terminal asked', async () => {
  const links = await probeGpuLinks({ path: repeating('idle'), places: [], signal: patience });

  expect(links).toEqual(new Map());
});

it('is told of in the log of the kernel without any Xid, and with one load of the driver', () => {
  const lines = readKernelLog(join(said, 'kmsg.txt'), 0) ?? [];

  expect(lines).toHaveLength(5);
  expect(lines.map(({ text }) => readXid(text))).toEqual(lines.map(() => undefined));
  expect(lines.filter(({ text }) => isDriverLoad(text)).map(({ time }) => time)).toEqual(['1970-01-01T00:00:00.574Z']);
});

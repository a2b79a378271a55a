import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Gpu } from '../../../src/contract/gpus.ts';
import { judge } from '../../../src/contract/validate.ts';
import { cardsOnBus, type GpuProbe, probeGpus } from '../../../src/host/gpus.ts';
import { sampleGpu } from '../../support/gpus.ts';
import { patience, pretendRoot, standIn, testFolder } from './stand-ins.ts';

const query = '--query-gpu=uuid,name,memory.total,driver_version,pci.bus_id,mig.mode.current';
const h100 =
  'GPU-2f0a1c3e-5b6d-47f8-9a0b-1c2d3e4f5a6b, NVIDIA H100 80GB HBM3, 81559, 570.86.15, 00000000:17:00.0, Disabled';
const a100 = { name: 'NVIDIA A100-SXM4-80GB', memory_mib: 81_920, driver: '535.183.01' };

it('reads the cards that the driver reports', async () => {
  const probe = await ask(`
    [ "$1" = ${query} ] && [ "$2" = --format=csv,noheader,nounits ] || exit 2
    echo "${h100}"
    echo "GPU-00000000-0000-0000-0000-000000000001, Odd, Name, 1024, 470.57.02, 00000001:C1:00.0, [N/A]"
    echo "GPU-00000000-0000-0000-0000-000000000002, NVIDIA GB10, [N/A], 580.95.05, 0000000F:01:00.0, [Not Supported]"`);

  expect(probe.gpus).toEqual([
    sampleGpu({ uuid: 'GPU-2f0a1c3e-5b6d-47f8-9a0b-1c2d3e4f5a6b' }),
    sampleGpu({
      ...{ uuid: 'GPU-00000000-0000-0000-0000-000000000001', name: 'Odd, Name', memory_mib: 1024 },
      ...{ driver: '470.57.02', pci_address: '0001:c1:00.0' },
    }),
    sampleGpu({
      ...{ uuid: 'GPU-00000000-0000-0000-0000-000000000002', name: 'NVIDIA GB10', memory_mib: 0 },
      ...{ driver: '580.95.05', pci_address: '000f:01:00.0' },
    }),
  ]);
  expect(probe.drivers).toMatchObject([{ vendor: 'nvidia', tool: expect.stringMatching(/nvidia-smi$/), reason: null }]);
});

it('lists MIG instances in the place of the card that is cut into them', async () => {
  const probe = await ask(`
    case "$1" in
      -L) cat ${fixture('nvidia-smi-list.txt')} ;;
      *) cat ${fixture('nvidia-smi-query.csv')} ;;
    esac`);

  const cut = 'GPU-e52dfcc4-406d-a3d4-f787-4402b535877a';
  const part = (uuid: string, profile: string, memory_mib: number) =>
    sampleGpu({
      ...a100,
      ...{ uuid, memory_mib, name: `NVIDIA A100-SXM4-80GB MIG ${profile}`, pci_address: '0000:0f:00.0' },
      mig: { parent: cut, profile },
    });
  expect(probe.gpus).toEqual([
    sampleGpu({ ...a100, uuid: 'GPU-b614723c-e261-4605-066e-79daab4c00ff', pci_address: '0000:07:00.0' }),
    part('MIG-ec4c3916-65fa-5948-b9b5-9f21a2ddfcc0', '2g.20gb', 20_480),
    part('MIG-000d40d3-5924-5906-9879-8b69bf58689b', '1g.20gb', 20_480),
    part('MIG-676485be-683e-5129-83a5-f856e2ed922e', '1g.10gb+me', 10_240),
  ]);
  expect(probe.drivers[0]?.partitioned.map(({ uuid, parts }) => [uuid, parts])).toEqual([
    [cut, 3],
    ['GPU-2812eb50-852a-8049-1257-d447ce043b27', 0],
  ]);
  expect(reasonOf(probe)).toBeNull();
});

it('asks for instances only where a card is in MIG mode', async () => {
  const probe = await ask(`[ "$1" = -L ] && exit 9; echo "${h100}"`);

  expect(probe).toMatchObject({ gpus: [{ health: 'healthy' }], drivers: [{ reason: null }] });
});

it('leaves nothing of a cut card to lease when its instances cannot be listed, and says so', async () => {
  const probe = await ask(`[ "$1" = -L ] && exit 9; echo "${h100.replace('Disabled', 'Enabled')}"`);

  expect(probe.gpus).toEqual([]);
  expect(reasonOf(probe)).toContain('-L does not list GPU-2f0a1c3e');
});

it('takes a card for unhealthy of which the driver says so in the place of a figure', async () => {
  const probe = await ask(
    'echo "GPU-1, NVIDIA A100-SXM4-80GB, [GPU requires reset], 535.54.03, 00000000:07:00.0, [GPU requires reset]"',
  );

  expect(probe.gpus).toMatchObject([
    { uuid: 'GPU-1', memory_mib: 0, health: 'unhealthy', reason: 'The driver says of the card: GPU requires reset.' },
  ]);
});

it('reports no card and no trouble without a driver', async () => {
  const probe = await probeGpus({ path: testFolder(), places: [], root: testFolder(), signal: patience });

  expect(probe).toEqual({ gpus: [], drivers: [], renderNodes: new Map() });
});

it('gives a reason when the driver hangs, without waiting for it (FAULTS 30)', async () => {
  const probe = await ask("trap '' TERM; sleep 600", 300);

  expect(probe.gpus).toEqual([]);
  expect(reasonOf(probe)).toContain('the driver hangs');
});

it('says what the exit code of the tool means', async () => {
  const probe = await ask(
    'echo "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."; exit 9',
  );

  expect(probe.gpus).toEqual([]);
  expect(reasonOf(probe)).toContain('ended with 9 (the driver is not loaded)');
  expect(reasonOf(probe)).toContain('could not communicate');
});

it('keeps the cards that answered when another fell off the bus', async () => {
  const probe = await ask(`echo "${h100}"; echo "Unable to determine the device handle for GPU 0000:41:00.0"; exit 15`);

  expect(probe.gpus).toHaveLength(1);
  expect(reasonOf(probe)).toContain('a card fell off the bus');
  expect(reasonOf(probe)).toContain('0000:41:00.0');
});

it.each([
  ['a line without a UUID', '0, NVIDIA H100, 81559, 570.86.15, 00000000:17:00.0, Disabled'],
  ['a UUID that climbs', 'GPU-../../etc, NVIDIA H100, 81559, 570.86.15, 00000000:17:00.0, Disabled'],
  ['a UUID that is an option', '--all, NVIDIA H100, 81559, 570.86.15, 00000000:17:00.0, Disabled'],
  ['a memory that is no number', 'GPU-1, NVIDIA H100, many, 570.86.15, 00000000:17:00.0, Disabled'],
])('does not take %s for a card', async (_what, line) => {
  const probe = await ask(`echo "${line}"; echo "${h100}"`);

  expect(probe.gpus).toHaveLength(1);
  expect(reasonOf(probe)).toContain(`cannot be read: ${line}`);
});

it('leaves out both of two cards with one UUID: nobody could say which is meant', async () => {
  const probe = await ask(`echo "${h100}"; echo "${h100}"`);

  expect(probe.gpus).toEqual([]);
  expect(reasonOf(probe)).toContain('more than one card as GPU-2f0a1c3e');
});

it('takes what steers a terminal out of names and reasons, and keeps to the contract', async () => {
  const probe = await ask(
    `printf 'GPU-1, \\033[2J\\007Evil\\302\\205, 1, 1, 00000000:17:00.0, Disabled\\n\\033]0;owned\\007\\n'`,
  );

  expect(probe.gpus).toMatchObject([{ name: '[2J Evil' }]);
  expect(reasonOf(probe)).toMatch(/cannot be read: \]0;owned$/);
  expect(probe.gpus.every((gpu) => judge(Gpu, gpu).ok)).toBe(true);
});

it('gives a reason when the tool cannot be run at all', async () => {
  const folder = testFolder();
  writeFileSync(join(folder, 'nvidia-smi'), '#!/does/not/exist\n');
  chmodSync(join(folder, 'nvidia-smi'), 0o755);

  const probe = await probeGpus({ path: folder, places: [], signal: patience });

  expect(probe.gpus).toEqual([]);
  expect(reasonOf(probe)).toContain('could not be run: ENOENT');
});

it('finds cards on the bus, and neither other functions of them nor the graphics of a processor', async () => {
  const bus = 'sys/bus/pci/devices';
  const root = pretendRoot({
    [`${bus}/0000:41:00.0/vendor`]: '0x10de\n',
    [`${bus}/0000:41:00.0/class`]: '0x030200\n',
    [`${bus}/0000:41:00.1/vendor`]: '0x10de\n',
    [`${bus}/0000:41:00.1/class`]: '0x040300\n',
    [`${bus}/0000:05:00.0/vendor`]: '0x1002\n',
    [`${bus}/0000:05:00.0/class`]: '0x120000\n',
    [`${bus}/0000:15:00.0/vendor`]: '0x1002\n',
    [`${bus}/0000:15:00.0/class`]: '0x030000\n',
    [`${bus}/0000:01:00.0/vendor`]: '0x1234\n',
    [`${bus}/0000:01:00.0/class`]: '0x030000\n',
  });

  expect(await cardsOnBus('nvidia', root)).toEqual(['0000:41:00.0']);
  expect(await cardsOnBus('amd', root)).toEqual(['0000:05:00.0']);
  expect(await cardsOnBus('nvidia', testFolder())).toEqual([]);
});

async function ask(script: string, timeoutMs = 5000) {
  const folder = testFolder();
  standIn(folder, 'nvidia-smi', script);
  return await probeGpus({
    path: folder,
    places: ['/usr/bin', '/bin'],
    root: testFolder(),
    timeoutMs,
    signal: patience,
  });
}

function reasonOf({ drivers }: GpuProbe): string | null | undefined {
  return drivers[0]?.reason;
}

function fixture(name: string): string {
  const path = join(import.meta.dirname, '../../../fixtures/gpus', name);
  readFileSync(path);
  return path;
}

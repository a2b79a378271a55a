import { join } from 'node:path';
import { expect, it } from 'vitest';
import { probeGpus } from '../../../src/host/gpus.ts';
import { sampleGpu } from '../../support/gpus.ts';
import { patience, pretendRoot, standIn, testFolder } from './stand-ins.ts';

const fixtures = join(import.meta.dirname, '../../../fixtures/gpus');
const devices = 'sys/bus/pci/devices';
const mi300x = sampleGpu({
  ...{ uuid: 'GPU-0325447e39149eba', vendor: 'amd', name: 'AMD Instinct MI300X', memory_mib: 196_592 },
  ...{ driver: '6.14.14', pci_address: '0000:05:00.0' },
});
const mi210 = sampleGpu({
  ...{ uuid: 'GPU-719d230578348e8c', vendor: 'amd', name: 'AMD Instinct MI210', memory_mib: 65_520 },
  ...{ driver: '6.7.0', pci_address: '0000:63:00.0' },
});
const statics = '[ "$*" = "static --asic --bus --vram --driver --json" ] || exit 2;';
const oneMi210 = { [`${devices}/0000:63:00.0/drm/renderD130/dev`]: '226:130\n' };

it('reads cards from amd-smi, with the id and the render node that the kernel gives them', async () => {
  const probe = await ask(
    { 'amd-smi': `${statics} cat ${fixtures}/amd-smi-static-rocm7.txt` },
    {
      [`${devices}/0000:05:00.0/unique_id`]: '0325447e39149eba\n',
      [`${devices}/0000:05:00.0/drm/card1/dev`]: '226:1\n',
      [`${devices}/0000:05:00.0/drm/renderD129/dev`]: '226:129\n',
      [`${devices}/0000:15:00.0/drm/renderD128/dev`]: '226:128\n',
    },
  );

  expect(probe.gpus).toEqual([mi300x]);
  expect(probe.renderNodes).toEqual(new Map([[mi300x.uuid, '/dev/dri/renderD129']]));
  expect(probe.drivers[0]?.reason).toBe('The cards at 0000:15:00.0 have no id of their own and cannot be leased.');
});

it('reads what amd-smi of ROCm 6 writes, and takes the id from it where the kernel has none', async () => {
  const probe = await ask({ 'amd-smi': `${statics} cat ${fixtures}/amd-smi-static-rocm6.txt` }, oneMi210);

  expect(probe).toMatchObject({ gpus: [mi210], drivers: [{ vendor: 'amd', reason: null }] });
});

it.each([
  ['there is no amd-smi', {}],
  ['amd-smi cannot tell', { 'amd-smi': 'echo "ModuleNotFoundError: No module named amdsmi" >&2; exit 1' }],
])('asks rocm-smi where %s, and finds the same cards', async (_what, tools) => {
  const args = '--showproductname --showuniqueid --showbus --showmeminfo vram --showdriverversion --json';
  const probe = await ask(
    { ...tools, 'rocm-smi': `[ "$*" = "${args}" ] || exit 2; cat ${fixtures}/rocm-smi.txt` },
    oneMi210,
  );

  expect(probe).toMatchObject({
    ...{ gpus: [mi210], drivers: [{ tool: expect.stringMatching(/rocm-smi$/), reason: null }] },
    renderNodes: new Map([[mi210.uuid, '/dev/dri/renderD130']]),
  });
});

it('takes a card without a render node for unhealthy: no container could be given it', async () => {
  const probe = await ask({ 'amd-smi': `cat ${fixtures}/amd-smi-static-rocm6.txt` }, {});

  expect(probe.gpus).toMatchObject([{ health: 'unhealthy', reason: expect.stringContaining('no render node') }]);
  expect(probe.renderNodes).toEqual(new Map());
});

it('gives a reason when the driver hangs, and does not hang another tool in it', async () => {
  const probe = await ask({ 'amd-smi': 'sleep 600', 'rocm-smi': `cat ${fixtures}/rocm-smi.txt` }, {}, 300);

  expect(probe.gpus).toEqual([]);
  expect(probe.drivers).toMatchObject([{ reason: expect.stringMatching(/amd-smi did not answer within 0.3 s/) }]);
});

it.each([
  ['nothing', ':'],
  ['half a document', `head -c 300 ${fixtures}/amd-smi-static-rocm7.txt`],
  ['a list of anything', `echo '[1, null, "x", {"bus": 7}, {"bus": {"bdf": "../../etc"}}]'`],
  ['an error', 'echo "AMDSMI_STATUS_DRIVER_NOT_LOADED" >&2; exit 255'],
])('takes %s for no cards', async (_what, script) => {
  const probe = await ask({ 'amd-smi': script }, {});

  expect(probe.gpus).toEqual([]);
});

it('leaves out the parts of a card that share its id', async () => {
  const one = `${fixtures}/amd-smi-static-rocm6.txt`;
  const two = `sed '$d' ${one}; echo ','; sed 1d ${one}`;
  const probe = await ask({ 'amd-smi': two }, oneMi210);

  expect(probe).toMatchObject({ gpus: [], drivers: [{ reason: expect.stringContaining('more than one card as') }] });
});

async function ask(tools: Readonly<Record<string, string>>, files: Readonly<Record<string, string>>, timeoutMs = 5000) {
  const folder = testFolder();
  for (const [name, script] of Object.entries(tools)) {
    standIn(folder, name, script);
  }
  return await probeGpus({ path: folder, places: [], root: pretendRoot(files), timeoutMs, signal: patience });
}

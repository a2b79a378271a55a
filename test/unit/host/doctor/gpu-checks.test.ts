import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { type GpuChecks, gpuChecks } from '../../../../src/host/doctor/gpu-checks.ts';
import { sampleGpu, sampleProbe } from '../../../support/gpus.ts';
import { patience, testFolder } from '../stand-ins.ts';
import { report } from './reports.ts';

const two = [sampleGpu({ uuid: 'GPU-1' }), sampleGpu({ uuid: 'GPU-2' })];
const twoCards = async () => sampleProbe({ gpus: two });
const amdCard = sampleGpu({ uuid: 'GPU-a', vendor: 'amd' });
const amd = async () => ({
  ...sampleProbe({ vendor: 'amd', tool: '/opt/rocm/bin/amd-smi', gpus: [amdCard] }),
  renderNodes: new Map([['GPU-a', '/dev/dri/renderD128']]),
});
const hook = async (name: string) => (name === 'nvidia-container-runtime-hook' ? `/usr/bin/${name}` : null);
const bus = (...addresses: string[]) => ({
  cardsOnBus: async (maker: string) => (maker === 'nvidia' ? addresses : []),
});

it('has nothing to say of a host without cards', async () => {
  expect(statuses(await diagnose({}))).toEqual({
    ...{ 'gpu.driver': 'skipped', 'gpu.runtime': 'skipped', 'gpu.mig': 'skipped', 'gpu.devices': 'skipped' },
    'gpu.kernel_log': 'skipped',
  });
});

it('passes cards whose driver answers and that the engine can hand out', async () => {
  const results = await diagnose({ probeGpus: twoCards, findProgram: hook, ...bus('0000:41:00.0', '0000:42:00.0') });

  expect(statuses(results)).toMatchObject({ 'gpu.driver': 'ok', 'gpu.runtime': 'ok', 'gpu.kernel_log': 'ok' });
  expect(results['gpu.driver']?.found).toContain('2 cards');
  const one = await diagnose({ probeGpus: async () => sampleProbe({ gpus: two.slice(1) }), findProgram: hook });
  expect(one['gpu.driver']?.found).toBe('The drivers report 1 card: NVIDIA H100 80GB HBM3.');
});

it('fails when there are cards and no driver, or fewer cards than the bus has', async () => {
  const three = bus('0000:41:00.0', '0000:42:00.0', '0000:43:00.0');

  const none = await diagnose(three);
  const fewer = await diagnose({ ...three, probeGpus: twoCards });
  const noRocm = await diagnose({ cardsOnBus: async (maker) => (maker === 'amd' ? ['0000:05:00.0'] : []) });

  expect(none['gpu.driver']).toMatchObject({ status: 'fail', found: expect.stringContaining('no driver') });
  expect(fewer['gpu.driver']).toMatchObject({ status: 'fail', found: expect.stringContaining('2 of the 3') });
  expect(noRocm['gpu.driver']).toMatchObject({ status: 'fail', fix: expect.stringContaining('amd-smi') });
});

it('fails with what the driver said when it is in trouble, also of one card alone', async () => {
  const hangs = await diagnose({ probeGpus: async () => sampleProbe({ reason: 'It hangs.' }) });
  const sick = sampleGpu({ uuid: 'GPU-3', health: 'unhealthy', reason: 'GPU requires reset.' });
  const one = await diagnose({ probeGpus: async () => sampleProbe({ gpus: [...two, sick] }) });

  expect(hangs['gpu.driver']).toMatchObject({ status: 'fail', found: 'It hangs.' });
  expect(one['gpu.driver']).toMatchObject({ status: 'fail', found: 'GPU-3: GPU requires reset.' });
});

it('fails when nothing can hand out the cards', async () => {
  const { 'gpu.runtime': found } = await diagnose({ probeGpus: twoCards });

  expect(found).toMatchObject({ status: 'fail', fix: expect.stringContaining('nvidia-container-toolkit') });
});

it('takes CDI specs that name every card, and says what to do about those that do not', async () => {
  const folder = testFolder();
  const spec = (...uuids: string[]) =>
    writeFileSync(
      join(folder, 'nvidia.yaml'),
      `cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n${uuids.map((uuid) => `  - name: ${uuid}\n`).join('')}`,
    );
  const askEngine = async () => report({ cdiFolders: [folder] });

  spec('GPU-1', 'GPU-2');
  const all = await diagnose({ probeGpus: twoCards, askEngine });
  spec('0', 'all', 'GPU-1');
  const some = await diagnose({ probeGpus: twoCards, askEngine });

  expect(all['gpu.runtime']).toMatchObject({ status: 'ok', found: expect.stringContaining('CDI') });
  expect(some['gpu.runtime']).toMatchObject({ status: 'fail', fix: expect.stringMatching(/GPU-2.*cdi generate/) });
});

it('warns when the NVIDIA runtime is the default of the engine, cards or not', async () => {
  const { 'gpu.runtime': found } = await diagnose({ askEngine: async () => report({ defaultRuntime: 'nvidia' }) });

  expect(found).toMatchObject({ status: 'warn', fix: expect.stringContaining('default-runtime') });
});

it('judges the driver even while the engine is away', async () => {
  const results = await diagnose({
    askEngine: () => Promise.reject(new AgentError('engine.unavailable')),
    probeGpus: twoCards,
  });

  expect(statuses(results)).toMatchObject({ 'gpu.driver': 'ok', 'gpu.runtime': 'skipped' });
});

it('warns of a card in MIG mode that has no instance', async () => {
  const board = { uuid: 'GPU-9', name: 'NVIDIA A100-SXM4-80GB', pci_address: '0000:47:00.0' };
  const bare = await diagnose({ probeGpus: async () => sampleProbe({ partitioned: [{ ...board, parts: 0 }] }) });
  const cut = await diagnose({ probeGpus: async () => sampleProbe({ partitioned: [{ ...board, parts: 3 }] }) });

  expect(bare['gpu.mig']).toMatchObject({ status: 'warn', found: expect.stringContaining('GPU-9') });
  expect(cut['gpu.mig']).toMatchObject({ status: 'ok', found: '1 cards are cut into 3 instances.' });
});

it.each([
  ['are there', { '/dev/kfd': 104, '/dev/dri/renderD128': 104 }, 'ok', 'each with a group'],
  ['are not there', { '/dev/dri/renderD128': 104 }, 'fail', '/dev/kfd is not there'],
  ["are in root's group", { '/dev/kfd': 0, '/dev/dri/renderD128': 104 }, 'fail', 'group of root'],
] as const)(
  'judges the device files of AMD cards that %s',
  async (_what, groups: Record<string, number>, status, words) => {
    const { 'gpu.devices': found } = await diagnose({ probeGpus: amd, groupOf: async (device) => groups[device] });

    expect(found).toMatchObject({ status, found: expect.stringContaining(words) });
  },
);

it("warns where the kernel's log cannot be read", async () => {
  const { 'gpu.kernel_log': found } = await diagnose({ probeGpus: twoCards, canReadKernelLog: () => false });

  expect(found).toMatchObject({ status: 'warn', fix: expect.stringContaining('CAP_SYSLOG') });
});

async function diagnose(sources: Partial<GpuChecks>) {
  const checks = gpuChecks({
    ...{ askEngine: async () => report(), probeGpus: async () => sampleProbe(), cardsOnBus: async () => [] },
    ...{ findProgram: async () => null, groupOf: async () => undefined, canReadKernelLog: () => true },
    ...sources,
  });
  return Object.fromEntries((await runChecks(checks, { signal: patience })).map((result) => [result.name, result]));
}

function statuses(results: Awaited<ReturnType<typeof diagnose>>) {
  return Object.fromEntries(Object.entries(results).map(([name, { status }]) => [name, status]));
}

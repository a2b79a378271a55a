import { expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { RuntimeProbe } from '../../../../src/contract/workload-oci-runtime-status.ts';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { type RuntimeChecks, runtimeChecks } from '../../../../src/host/doctor/runtime-checks.ts';
import { sampleGpu, sampleProbe } from '../../../support/gpus.ts';
import { patience } from '../stand-ins.ts';
import { report } from './reports.ts';

const card = sampleGpu();
const twoCards = sampleProbe({ gpus: [card, { ...card, uuid: 'GPU-2' }] });

it('passes a host without cards', async () => {
  const results = await diagnose({});

  expect(statuses(results)).toEqual({
    'runtime.approved': 'ok',
    'runtime.compose': 'ok',
    'gpu.driver': 'skipped',
    'gpu.runtime': 'skipped',
  });
});

it.each(['not_installed', 'not_running', 'no_permission'] as const)(
  'fails with a step of its own when docker is %s (G-191)',
  async (state) => {
    const docker = runtime({ state, version: null, reason: `It is ${state}.` });

    const { 'runtime.approved': found } = await diagnose({ probeRuntimes: () => Promise.resolve([docker]) });

    expect(found).toMatchObject({ status: 'fail', found: `It is ${state}.` });
    expect(found?.fix).toMatch({ not_installed: /bootstrap/, not_running: /start/i, no_permission: /root/ }[state]);
  },
);

it('fails when host policy does not approve the engine that is used (G-161)', async () => {
  const { 'runtime.approved': found } = await diagnose({
    probeRuntimes: () => Promise.resolve([runtime({ approved: false })]),
  });

  expect(found).toMatchObject({ status: 'fail', fix: expect.stringContaining('approved_engines') });
});

it('only warns when Compose is missing', async () => {
  const { 'runtime.compose': found } = await diagnose({
    probeCompose: () => Promise.resolve({ version: null, reason: 'The docker client has no Compose plugin.' }),
  });

  expect(found).toMatchObject({ status: 'warn', found: 'The docker client has no Compose plugin.' });
});

it('passes cards whose driver answers and whose runtime is there (G-193)', async () => {
  const results = await diagnose({
    askEngine: () => Promise.resolve(report({ runtimes: ['runc', 'nvidia'] })),
    probeGpus: () => Promise.resolve(twoCards),
    cardsOnBus: () => Promise.resolve(['0000:41:00.0', '0000:42:00.0']),
  });

  expect(results['gpu.driver']).toMatchObject({ status: 'ok', found: expect.stringContaining('2 cards') });
  expect(results['gpu.runtime']).toMatchObject({ status: 'ok' });
});

it('fails when there are cards and no driver, or fewer cards than the bus has', async () => {
  const cardsOnBus = () => Promise.resolve(['0000:41:00.0', '0000:42:00.0', '0000:43:00.0']);

  const none = await diagnose({ cardsOnBus });
  const fewer = await diagnose({ cardsOnBus, probeGpus: () => Promise.resolve(twoCards) });

  expect(none['gpu.driver']).toMatchObject({ status: 'fail', found: expect.stringContaining('no driver') });
  expect(fewer['gpu.driver']).toMatchObject({ status: 'fail', found: expect.stringContaining('2 of the 3') });
});

it('fails with what the driver said when it is in trouble', async () => {
  const { 'gpu.driver': found } = await diagnose({
    probeGpus: () => Promise.resolve(sampleProbe({ reason: 'It hangs.' })),
  });

  expect(found).toMatchObject({ status: 'fail', found: 'It hangs.' });
});

it('fails when there are cards and the engine has no NVIDIA runtime (G-193)', async () => {
  const { 'gpu.runtime': found } = await diagnose({ probeGpus: () => Promise.resolve(twoCards) });

  expect(found).toMatchObject({ status: 'fail', fix: expect.stringContaining('nvidia-ctk runtime configure') });
});

it('warns when the NVIDIA runtime is the default of the engine, cards or not', async () => {
  const { 'gpu.runtime': found } = await diagnose({
    askEngine: () => Promise.resolve(report({ runtimes: ['runc', 'nvidia'], defaultRuntime: 'nvidia' })),
  });

  expect(found).toMatchObject({ status: 'warn', fix: expect.stringContaining('default-runtime') });
});

it('judges the driver even while the engine is away', async () => {
  const results = await diagnose({
    askEngine: () => Promise.reject(new AgentError('engine.unavailable')),
    probeGpus: () => Promise.resolve(twoCards),
  });

  expect(results['gpu.driver']).toMatchObject({ status: 'ok' });
  expect(results['gpu.runtime']).toMatchObject({ status: 'skipped' });
});

function runtime(changes: Partial<RuntimeProbe>): RuntimeProbe {
  return {
    ...{ name: 'docker', state: 'ready', found: '/usr/bin/docker', searched: ['/usr/bin'], version: '28.2.2' },
    ...{ approved: true, reason: null },
    ...changes,
  };
}

async function diagnose(sources: Partial<RuntimeChecks>) {
  const checks = runtimeChecks({
    askEngine: () => Promise.resolve(report()),
    probeRuntimes: () => Promise.resolve([runtime({})]),
    probeCompose: () => Promise.resolve({ version: '2.26.1', reason: null }),
    probeGpus: () => Promise.resolve(sampleProbe()),
    cardsOnBus: () => Promise.resolve([]),
    ...sources,
  });
  return Object.fromEntries((await runChecks(checks, { signal: patience })).map((result) => [result.name, result]));
}

function statuses(results: Awaited<ReturnType<typeof diagnose>>) {
  return Object.fromEntries(Object.entries(results).map(([name, { status }]) => [name, status]));
}

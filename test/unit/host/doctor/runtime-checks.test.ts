import { expect, it } from 'vitest';
import type { RuntimeProbe } from '../../../../src/contract/workload-oci-runtime-status.ts';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { type RuntimeChecks, runtimeChecks } from '../../../../src/host/doctor/runtime-checks.ts';
import { patience } from '../stand-ins.ts';

it('passes a host that has what is needed', async () => {
  const results = await diagnose({});

  expect(statuses(results)).toEqual({
    'runtime.approved': 'ok',
    'runtime.compose': 'ok',
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

function runtime(changes: Partial<RuntimeProbe>): RuntimeProbe {
  return {
    ...{ name: 'docker', state: 'ready', found: '/usr/bin/docker', searched: ['/usr/bin'], version: '28.2.2' },
    ...{ approved: true, reason: null },
    ...changes,
  };
}

async function diagnose(sources: Partial<RuntimeChecks>) {
  const checks = runtimeChecks({
    probeRuntimes: () => Promise.resolve([runtime({})]),
    probeCompose: () => Promise.resolve({ version: '2.26.1', reason: null }),
    ...sources,
  });
  return Object.fromEntries((await runChecks(checks, { signal: patience })).map((result) => [result.name, result]));
}

function statuses(results: Awaited<ReturnType<typeof diagnose>>) {
  return Object.fromEntries(Object.entries(results).map(([name, { status }]) => [name, status]));
}

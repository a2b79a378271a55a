import { expect, it } from 'vitest';
import type { RuntimeProbe } from '../../../../src/contract/workload-oci-runtime-status.ts';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { type RuntimeChecks, runtimeChecks } from '../../../../src/host/doctor/runtime-checks.ts';
import { patience, standIn, testFolder } from '../stand-ins.ts';

it('passes a host that has what is needed', async () => {
  const results = await diagnose({});

  expect(statuses(results)).toEqual({
    'runtime.approved': 'ok',
    'runtime.compose': 'ok',
    'runtime.runc': 'skipped',
    'runtime.gvisor': 'skipped',
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

it('tells which runc there is, and warns of one that nobody mends', async () => {
  const at = async (version: string) => {
    const runc = standIn(testFolder(), 'runc', `echo "runc version ${version}"; echo "spec: 1.2.0"`);
    return (await diagnose({ findProgram: async () => runc }))['runtime.runc'];
  };

  expect(await at('1.1.15+ds1')).toMatchObject({ status: 'ok', found: expect.stringContaining('1.1.15+ds1') });
  expect(await at('1.3.3')).toMatchObject({ status: 'ok' });
  expect(await at('1.0.0-rc92')).toMatchObject({ status: 'warn' });
});

it('asks gvisor where it is offered: whether it is there, and whether it knows the driver', async () => {
  const offered = { sandboxes: { runc: 'runc', gvisor: 'runsc' } };
  const runsc = standIn(
    testFolder(),
    'runsc',
    'case "$*" in --version) echo "runsc version release-20260101.0" ;; "nvproxy list-supported-drivers") printf "550.54.15\n570.86.10\n" ;; *) exit 2 ;; esac',
  );
  const findProgram = async () => runsc;
  const at = async (sources: Partial<RuntimeChecks>) => (await diagnose({ ...offered, ...sources }))['runtime.gvisor'];

  expect(await at({})).toMatchObject({ status: 'warn', found: expect.stringContaining('no runsc along PATH') });
  expect(await at({ findProgram })).toMatchObject({ status: 'ok' });
  expect(await at({ findProgram, nvidiaDrivers: async () => ['570.86.10'] })).toMatchObject({
    status: 'ok',
    found: expect.stringContaining('knows the driver'),
  });
  expect(await at({ findProgram, nvidiaDrivers: async () => ['570.86.15'] })).toMatchObject({
    status: 'warn',
    found: expect.stringContaining('does not know the driver 570.86.15'),
  });
  expect(await at({ findProgram: async () => standIn(testFolder(), 'runsc', 'exit 1') })).toMatchObject({
    status: 'fail',
    found: expect.stringContaining('does not tell its version'),
  });
});

it('fails where host policy gives cards to gvisor, which can have none, and says why', async () => {
  const sandboxes = { runc: 'runc', gvisor: 'runsc' };
  const runsc = standIn(testFolder(), 'runsc', 'echo "runsc version release-20260101.0"');
  const at = async (why: string | undefined) =>
    (await diagnose({ sandboxes, findProgram: async () => runsc, whyNoneInGvisor: async () => why }))['runtime.gvisor'];

  expect(await at('The runtime runsc of the engine is registered without --nvproxy.')).toMatchObject({
    status: 'fail',
    found: expect.stringMatching(/^Host policy gives cards to gVisor, .* registered without --nvproxy\.$/),
  });
  expect(await at(undefined)).toMatchObject({ status: 'ok' });
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
    ...{ sandboxes: { runc: 'runc' }, findProgram: async () => null, nvidiaDrivers: async () => [] },
    whyNoneInGvisor: undefined,
    ...sources,
  });
  return Object.fromEntries((await runChecks(checks, { signal: patience })).map((result) => [result.name, result]));
}

function statuses(results: Awaited<ReturnType<typeof diagnose>>) {
  return Object.fromEntries(Object.entries(results).map(([name, { status }]) => [name, status]));
}

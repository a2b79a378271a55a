import { expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { RuntimeProbe } from '../../../../src/contract/workload-oci-runtime-status.ts';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { type RuntimeChecks, runtimeChecks } from '../../../../src/host/doctor/runtime-checks.ts';
import { patience, standIn, testFolder } from '../stand-ins.ts';
import { report } from './reports.ts';

it('passes a host that has what is needed', async () => {
  const results = await diagnose({});

  expect(statuses(results)).toEqual({
    'runtime.approved': 'ok',
    'runtime.compose': 'ok',
    'runtime.runc': 'skipped',
    'runtime.gvisor': 'skipped',
    'runtime.squashfs': 'skipped',
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

it('looks for what unpacks images where they may be downloaded, and says how to get it', async () => {
  const at = async (...programs: string[]) => {
    const findProgram = async (name: string) => (programs.includes(name) ? `/usr/bin/${name}` : null);
    return (await diagnose({ findProgram, downloadsImages: true }))['runtime.squashfs'];
  };

  expect(await at('sqfs2tar', 'prlimit')).toMatchObject({ status: 'ok', found: '/usr/bin/sqfs2tar is there.' });
  expect(await at('prlimit')).toMatchObject({ status: 'fail', fix: expect.stringContaining('squashfs-tools-ng') });
  expect(await at('sqfs2tar')).toMatchObject({ status: 'fail', fix: expect.stringContaining('util-linux') });
});

it('asks gvisor where it is offered: whether it is one, and whether it knows the driver', async () => {
  const runsc =
    'case "$*" in --version) echo "runsc version release-20260101.0" ;; "nvproxy list-supported-drivers") printf "550.54.15\n570.86.10\n" ;; *) exit 2 ;; esac';
  const at = async (script: string, drivers: string[] = []) =>
    (await diagnose({ ...offering(script), nvidiaDrivers: async () => drivers }))['runtime.gvisor'];

  expect(await at(runsc)).toMatchObject({ status: 'ok' });
  expect(await at(runsc, ['570.86.10'])).toMatchObject({
    status: 'ok',
    found: expect.stringContaining('knows the driver'),
  });
  expect(await at(runsc, ['570.86.15'])).toMatchObject({
    status: 'warn',
    found: expect.stringContaining('does not know the driver 570.86.15'),
  });
});

it.each([
  ['another runtime', 'echo "runc version 1.2.3"', 'does not say that it is a runsc'],
  ['a program that says nothing', 'exit 1', 'does not say that it is a runsc'],
  ['one that the engine does not name', undefined, 'does not tell which program its runtime runsc is'],
])('fails where %s stands for gvisor', async (_what, script, found) => {
  expect((await diagnose(offering(script)))['runtime.gvisor']).toMatchObject({
    status: 'fail',
    found: expect.stringContaining(found),
  });
});

it('cannot tell of gvisor while the engine is away', async () => {
  const askEngine = () => Promise.reject(new AgentError('engine.unavailable'));

  expect((await diagnose({ ...offering('exit 1'), askEngine }))['runtime.gvisor']?.status).toBe('skipped');
});

it('fails where host policy gives cards to gvisor, which can have none, and says why', async () => {
  const at = async (why: string | undefined) =>
    (await diagnose({ ...offering('echo "runsc version release-1"'), whyNoneInGvisor: async () => why }))[
      'runtime.gvisor'
    ];

  expect(await at('The runtime runsc of the engine is registered without --nvproxy.')).toMatchObject({
    status: 'fail',
    found: expect.stringMatching(/^Host policy gives cards to gVisor, .* registered without --nvproxy\.$/),
  });
  expect(await at(undefined)).toMatchObject({ status: 'ok' });
});

it('warns of a gvisor that is registered without the flag that keeps files read-only, where it knows it', async () => {
  const version = 'test "$*" = --version && echo "runsc version release-20260101.0"';
  const program = (script: string) => `${version}\n${script}`;
  const now = program('test "$*" != flags || printf "  -debug\\n  -directfs\\n\\tdirectly access the files\\n" >&2');
  const of2022 = program('test "$*" != flags || printf "  -debug\\n  -directfs-of-another\\n" >&2');
  const at = async (script: string, ...args: string[]) => (await diagnose(offering(script, args)))['runtime.gvisor'];

  for (const args of [[], ['--network=host'], ['--directfs'], ['-directfs=0', '--directfs=1']]) {
    expect(await at(now, ...args)).toMatchObject({
      ...{ status: 'warn', found: expect.stringContaining('runsc of the engine is without --directfs=false') },
      fix: expect.stringContaining('systemctl reload docker'),
    });
  }
  for (const arg of ['--directfs=false', '-directfs=0']) expect(await at(now, arg)).toMatchObject({ status: 'ok' });
  expect(await at(of2022)).toMatchObject({ status: 'ok' });
  // As a script that starts the program with it.
  expect(await at(`set -- --directfs=false "$@"; shift\n${now}`)).toMatchObject({ status: 'ok' });
});

/** Host policy with gVisor, and an engine whose `runsc` is this script, or no program that it tells. */
function offering(script: string | undefined, args: readonly string[] = []): Partial<RuntimeChecks> {
  const path = script === undefined ? undefined : standIn(testFolder(), 'runsc', script);
  const runtimePrograms = new Map(path === undefined ? [] : [['runsc', { path, args }] as const]);
  return {
    sandboxes: { runc: 'runc', gvisor: 'runsc' },
    askEngine: async () => report({ runtimePrograms }),
  };
}

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
    askEngine: async () => report(),
    ...{ sandboxes: { runc: 'runc' }, findProgram: async () => null, nvidiaDrivers: async () => [] },
    ...{ whyNoneInGvisor: undefined, downloadsImages: false },
    ...sources,
  });
  return Object.fromEntries((await runChecks(checks, { signal: patience })).map((result) => [result.name, result]));
}

function statuses(results: Awaited<ReturnType<typeof diagnose>>) {
  return Object.fromEntries(Object.entries(results).map(([name, { status }]) => [name, status]));
}

import { expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { type EngineReport, engineChecks } from '../../../../src/host/doctor/engine-checks.ts';
import { patience, pretendRoot } from '../stand-ins.ts';
import { report } from './reports.ts';

it('passes a healthy engine of today', async () => {
  const results = await diagnose(report());

  expect(Object.values(results).map(({ status }) => status)).toEqual(Array(7).fill('ok'));
});

it('fails once when the engine is away, and leaves open what only the engine can tell', async () => {
  const away = new AgentError('engine.unavailable', { state: 'not_running', reason: 'Nothing listens on its socket.' });

  const results = await diagnose(away);

  expect(results['engine.reachable']).toMatchObject({
    status: 'fail',
    found: expect.stringContaining('Nothing listens on its socket.'),
    fix: expect.any(String),
  });
  const others = Object.entries(results).filter(([name]) => name !== 'engine.reachable');
  expect(others.map(([, { status }]) => status)).toEqual(Array(6).fill('skipped'));
});

it.each([
  ['19.03.15', 'fail'],
  ['20.10.24+dfsg1', 'warn'],
  ['26.1.5', 'warn'],
  ['27.5.1', 'warn'],
  ['28.0.0', 'ok'],
  ['29.1.0-rc.1', 'ok'],
  ['dev', 'warn'],
])('judges an engine of version %s: %s', async (version, status) => {
  const { 'engine.version': found } = await diagnose(report({ version }));

  expect(found).toMatchObject({ status, found: expect.stringContaining(version) });
  expect(found?.why).toContain('moby #49325');
});

it('is content with an older engine behind the firewall of the pool', async () => {
  const { 'engine.version': found } = await diagnose(report({ version: '26.1.5' }), { walled: true });

  expect(found).toMatchObject({ status: 'ok', found: expect.stringContaining('firewall') });
});

it('warns where systemd and the engine keep one tree of cgroups', async () => {
  const root = pretendRoot({ 'run/systemd/system/x': '', 'sys/fs/cgroup/cgroup.controllers': 'cpu memory pids\n' });

  const { 'engine.cgroups': found } = await diagnose(report({ cgroupDriver: 'cgroupfs' }), { root });
  const { 'engine.cgroups': right } = await diagnose(report(), { root });

  expect(found).toMatchObject({ status: 'warn', found: expect.stringContaining('by cgroupfs') });
  expect(right).toMatchObject({ status: 'ok', found: expect.stringContaining('with cpu, memory, pids') });
});

it('names the limits that cannot be enforced', async () => {
  const { 'engine.limits': found } = await diagnose(report({ limits: { memory: false, cpu: true, pids: false } }));

  expect(found).toMatchObject({ status: 'fail', found: expect.stringContaining('memory, pids') });
});

it('warns of a storage driver that copies whole layers', async () => {
  const { 'engine.storage': found } = await diagnose(report({ storageDriver: 'vfs' }));

  expect(found).toMatchObject({ status: 'warn', found: expect.stringContaining('vfs') });
});

it('fails when a sandbox of host policy has no runtime on the engine', async () => {
  const sandboxes = { runc: 'runc', gvisor: 'runsc' };

  const missing = await diagnose(report(), { sandboxes });
  const there = await diagnose(report({ runtimes: ['runc', 'runsc'] }), { sandboxes });
  const none = await diagnose(report(), { sandboxes: {} });

  expect(missing['engine.sandboxes']).toMatchObject({
    status: 'fail',
    found: expect.stringContaining('gvisor (runsc)'),
  });
  expect(there['engine.sandboxes']).toMatchObject({ status: 'ok' });
  expect(none['engine.sandboxes']).toMatchObject({ status: 'fail' });
});

it('warns when a restart of the engine would stop workloads', async () => {
  const off = await diagnose(report({ liveRestore: false }));

  expect(off['engine.live_restore']).toMatchObject({ status: 'warn' });
});

async function diagnose(
  answer: EngineReport | AgentError,
  {
    sandboxes = { runc: 'runc' },
    root = pretendRoot({ 'sys/fs/cgroup/cgroup.controllers': 'cpu memory pids' }),
    walled = false,
  }: { sandboxes?: Record<string, string>; root?: string; walled?: boolean } = {},
) {
  const askEngine = () => (answer instanceof AgentError ? Promise.reject(answer) : Promise.resolve(answer));
  const results = await runChecks(engineChecks({ askEngine, sandboxes, root, hasFirewall: async () => walled }), {
    signal: patience,
  });
  return Object.fromEntries(results.map((result) => [result.name, result]));
}

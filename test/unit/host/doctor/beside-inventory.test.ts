/** What runs beside each inventory must cost next to nothing. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { HostHealth } from '../../../../src/contract/host-health.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { cheapOnes, healthOf } from '../../../../src/host/doctor/beside-inventory.ts';
import { type CheckResult, runChecks } from '../../../../src/host/doctor/check.ts';
import { hostChecks } from '../../../../src/host/doctor.ts';
import { patience, pretendRoot, standIn, testFolder } from '../stand-ins.ts';
import { policy, report } from './reports.ts';

const programs = [
  'nvidia-smi',
  'amd-smi',
  'rocm-smi',
  'timedatectl',
  'nft',
  'runc',
  'runsc',
  'docker',
  'podman',
  'systemctl',
];

/** A host whose programs note that they were started, and whose control plane notes that it was called. */
async function host() {
  const folder = testFolder();
  const note = join(folder, 'started');
  for (const name of [...programs, 'docker-compose', 'nvidia-ctk']) standIn(folder, name, `echo ${name} >>${note}`);
  const calls: string[] = [];
  const server = createServer((socket) => {
    calls.push('called');
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const root = pretendRoot({
    'proc/net/route': 'Iface\n',
    'run/systemd/system/x': '',
    'sys/fs/cgroup/cgroup.controllers': 'cpu memory pids',
    'etc/gpuaas-node-agent/firewall.nft': 'table',
  });
  const checks = hostChecks({
    ...{ policy, root, stateDir: testFolder(), path: folder, pluginFolders: [folder] },
    controlPlane: { url: `http://127.0.0.1:${port}` },
    askEngine: () => Promise.resolve(report()),
  });
  const started = () => (existsSync(note) ? readFileSync(note, 'utf8').trim().split('\n') : []);
  return { checks, calls, started };
}

it('starts no program and calls nobody, where the whole doctor does both', async () => {
  const { checks, calls, started } = await host();

  await runChecks(cheapOnes(checks), { signal: patience });
  const beside = [started(), calls.length];
  await runChecks(
    checks.filter(({ name }) => /^(runtime|network|host|control_plane)/.test(name)),
    { signal: patience, timeoutMs: 5000 },
  );

  expect(beside).toEqual([[], 0]);
  expect(started()).toEqual(expect.arrayContaining(['runc', 'nft', 'timedatectl', 'docker-compose']));
  expect(calls.length).toBeGreaterThan(0);
});

it('has each of its checks in the whole doctor', async () => {
  const { checks } = await host();

  const names = cheapOnes(checks).map(({ name }) => name);

  expect(names).toHaveLength(25);
});

it('tells what failed first, with what to do, and whether it lets launches through', () => {
  const of = (name: string, status: CheckResult['status']): CheckResult => ({
    ...{ name, status, why: 'w.', found: `${name} is so.`, fix: status === 'ok' ? null : 'Do it.' },
  });

  const health = healthOf([
    ...[of('engine.version', 'warn'), of('engine.storage', 'ok'), of('host.clock', 'skipped')],
    ...[of('engine.limits', 'fail'), of('network.pool', 'warn'), of('host.units', 'fail')],
  ]);

  expect(judge(HostHealth, health).ok).toBe(true);
  expect(health).toMatchObject({ ok: 1, warn: 2, fail: 2, skipped: 1 });
  expect(health.findings.map(({ name, status, blocks }) => [name, status, blocks])).toEqual([
    ['engine.limits', 'fail', true],
    ['host.units', 'fail', false],
    ['engine.version', 'warn', false],
    ['network.pool', 'warn', false],
  ]);
});

it('keeps nobody from launching because a check could not be carried out', async () => {
  const broken = { name: 'network.pool', run: () => Promise.reject(new Error('no such call')) };

  const health = healthOf(await runChecks([broken], { signal: patience }));

  expect(health.findings).toMatchObject([{ name: 'network.pool', status: 'fail', blocks: false }]);
});

it('stays within what its schema admits, however long a sentence is', () => {
  const long = healthOf([
    { name: 'engine.limits', status: 'fail', why: '', found: `${'x'.repeat(499)}😀`, fix: 'y'.repeat(900) },
  ]);

  expect(judge(HostHealth, long).ok).toBe(true);
});

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { hasFirewall, installChecks, type UpdateFacts } from '../../../../src/host/doctor/install-checks.ts';
import { poolFirewall } from '../../../../src/host/pool-firewall.ts';
import { patience, pretendRoot, standIn, testFolder } from '../stand-ins.ts';

const pool = '10.213.0.0/20';
const rules = 'etc/gpuaas-node-agent/firewall.nft';
const units = ['gpuaas-node-agent-gate.service', 'gpuaas-node-agent.service', 'gpuaas-node-agent-update.path'];
const timers = ['gpuaas-node-agent-update.timer', 'gpuaas-node-agent-trial.timer'];
const text = (unit: string) => `[Unit]\nDescription=${unit}\n`;

it('knows the systems that were tested, and a kernel that is too old', async () => {
  const on = async (id: string, kernel: string) =>
    (await diagnose(pretendRoot({ 'etc/os-release': id, 'proc/sys/kernel/osrelease': `${kernel}\n` })))['host.system'];
  const debian = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nID=debian\n';

  expect(await on(debian, '6.12.43+deb13-amd64')).toMatchObject({
    status: 'ok',
    found: 'debian 13, kernel 6.12.43+deb13-amd64.',
  });
  expect(await on('ID=ubuntu\nVERSION_ID="24.04"\n', '6.8.0-41-generic')).toMatchObject({ status: 'ok' });
  expect(await on('ID=ubuntu\nVERSION_ID="22.04"\n', '6.8.0-41-generic')).toMatchObject({ status: 'warn' });
  expect(await on(debian, '5.4.0-150')).toMatchObject({ status: 'fail', fix: expect.stringContaining('5.10') });
  expect(await on(debian, '4.19.0')).toMatchObject({ status: 'fail' });
});

it('wants the units there, started at boot, and as the release has them', async () => {
  const none = await diagnose(testFolder());
  const host = installedHost();
  const whole = await diagnose(host);
  writeFileSync(join(host, 'etc/systemd/system', units[1] ?? ''), `${text(units[1] ?? '')}# by hand\n`);
  writeFileSync(join(host, 'opt/gpuaas-node-agent/guard'), '#!/bin/sh\nexit 0\n');
  const changed = await diagnose(host);

  expect(none['host.units']).toMatchObject({ status: 'skipped' });
  expect(whole['host.units']).toMatchObject({ status: 'ok', found: expect.stringContaining('as in the release') });
  expect(changed['host.units']).toMatchObject({
    status: 'warn',
    found: '/etc/systemd/system/gpuaas-node-agent.service, /opt/gpuaas-node-agent/guard is other than in the release.',
  });
});

it('names a unit that is missing, or that nothing starts', async () => {
  const [gate = '', agent = '', path = ''] = units;
  const two = pretendRoot({ [`etc/systemd/system/${gate}`]: '', [`etc/systemd/system/${path}`]: '' });
  const untimed = installedHost();
  rmSync(join(untimed, 'etc/systemd/system', timers[0] ?? ''));
  const idle = installedHost({ enabled: [gate, path] });

  expect((await diagnose(two))['host.units']).toMatchObject({
    status: 'fail',
    found: `${[agent, ...timers].join(', ')} is not there.`,
  });
  expect((await diagnose(untimed))['host.units']).toMatchObject({
    status: 'fail',
    found: `${timers[0]} is not there.`,
  });
  expect((await diagnose(idle))['host.units']).toMatchObject({
    status: 'fail',
    fix: `Enable it: systemctl enable --now ${agent}`,
  });
});

it('judges the firewall by the pool of the configuration', async () => {
  const at = async (content: string) => (await diagnose(pretendRoot({ [rules]: content })))['network.firewall'];

  expect(await at(poolFirewall(pool))).toMatchObject({ status: 'ok' });
  expect(await at(poolFirewall('10.99.0.0/20'))).toMatchObject({
    status: 'fail',
    found: expect.stringContaining(pool),
  });
  expect(await at(`${poolFirewall(pool)}# more\n`)).toMatchObject({ status: 'warn' });
  expect((await diagnose(testFolder()))['network.firewall']).toMatchObject({ status: 'warn' });
  expect(await hasFirewall(pretendRoot({ [rules]: poolFirewall(pool) }), pool)).toBe(true);
  expect(await hasFirewall(testFolder(), pool)).toBe(false);
});

it('asks nft whether the rules are loaded, and says where it may not', async () => {
  const root = pretendRoot({ [rules]: poolFirewall(pool) });
  const ask = async (script: string) => {
    const folder = testFolder();
    standIn(folder, 'nft', `[ "$*" = "list table inet gpuaas_node_agent" ] || exit 9\n${script}`);
    return (await diagnose(root, folder))['network.firewall_loaded'];
  };

  expect(await ask('exit 0')).toMatchObject({ status: 'ok' });
  expect(await ask('echo "Error: No such file or directory" >&2; exit 1')).toMatchObject({ status: 'fail' });
  for (const said of [
    'Operation not permitted (you must be root)',
    // In the agent's own unit, which has no netlink.
    'src/mnl.c:64: Unable to initialize Netlink socket: Address family not supported by protocol',
  ]) {
    expect(await ask(`echo "${said}" >&2; exit 1`)).toMatchObject({ status: 'skipped' });
  }
});

it('tells of an update on trial, one that was rolled back, and what is skipped', async () => {
  const at = async (facts: Partial<UpdateFacts>) => {
    const updates = () => ({ current: '0.2.0', pending: undefined, last: undefined, skipped: [], ...facts });
    return (await diagnose(testFolder(), '', updates))['update.state'];
  };
  const last = (outcome: string) => ({ outcome, version: '0.3.0', reason: 'It was not alive in time.' });

  expect(await at({})).toMatchObject({ status: 'ok', found: '0.2.0 runs, and nothing is on trial.' });
  expect(await at({ last: last('committed') })).toMatchObject({ status: 'ok' });
  expect(await at({ pending: { from: '0.2.0', to: '0.3.0', attempts: 2 } })).toMatchObject({
    status: 'warn',
    found: expect.stringContaining('0.3.0 is on trial'),
  });
  expect(await at({ last: last('rolled_back'), skipped: [{ version: '0.3.0' }] })).toMatchObject({
    status: 'warn',
    found: 'The last update, to 0.3.0, was rolled back: It was not alive in time; 0.2.0 runs.',
  });
  expect(await at({ skipped: [{ version: '0.3.0' }] })).toMatchObject({
    status: 'ok',
    found: '0.2.0 runs; skipped: 0.3.0.',
  });
  expect(await at({ current: undefined })).toMatchObject({ status: 'skipped' });
  expect((await diagnose(testFolder()))['update.state']).toMatchObject({ status: 'skipped' });
});

/** As the bootstrap leaves one: units, the links that enable them, the guard, and the archive they came from. */
function installedHost({ enabled = units }: { enabled?: readonly string[] } = {}): string {
  const guard = '#!/bin/sh\nexit 1\n';
  const place = 'etc/systemd/system';
  const root = pretendRoot({
    ...Object.fromEntries([...units, ...timers].map((unit) => [`${place}/${unit}`, text(unit)])),
    'opt/gpuaas-node-agent/guard': guard,
    'opt/gpuaas-node-agent/release/release.json': '{}',
  });
  for (const unit of enabled) {
    const link = join(root, place, unit.endsWith('.path') ? 'paths.target.wants' : 'multi-user.target.wants', unit);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(`/${place}/${unit}`, link);
  }
  const released = pretendRoot({
    ...Object.fromEntries([...units, ...timers].map((unit) => [`systemd/${unit}`, text(unit)])),
    'systemd/guard': guard,
    'systemd/sysusers.d/gpuaas-node-agent.conf': 'u gpuaas-agent\n',
  });
  const archive = join(root, 'opt/gpuaas-node-agent/release/host-0.2.0.tar.gz');
  execFileSync('tar', ['--format=ustar', '--sort=name', '-czf', archive, '-C', released, 'systemd']);
  return root;
}

async function diagnose(root: string, path = '', updates?: () => UpdateFacts) {
  const results = await runChecks(installChecks({ root, path, pool, updates }), { signal: patience });
  return Object.fromEntries(results.map((result) => [result.name, result]));
}

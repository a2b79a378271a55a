/**
 * The doctor on a host as a bootstrap leaves it: the agent is a service without rights, so it must not fail what it may only not see,
 * and root sees the rest. Then what is in order is broken, piece by piece, on the real host.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CheckResult } from '../../src/host/doctor/check.ts';
import { poolFirewall } from '../../src/host/pool-firewall.ts';
import { installAgent, nodeAgent } from '../support/installed-agent.ts';
import { type SystemdHost, startHost } from '../support/systemd-host.ts';

const pool = '10.213.0.0/20';
let host: SystemdHost;

beforeAll(async () => {
  host = await startHost({ debian: 13 });
  await installAgent(host);
  // What a bootstrap does beside the units: rules for the pool, bounds of logs, the release they came from.
  await host.write('/etc/gpuaas-node-agent/firewall.nft', poolFirewall(pool), 0o644);
  await host.sh(`
    cp /root/systemd/guard /opt/gpuaas-node-agent/guard
    systemctl enable --quiet gpuaas-node-agent-update.path
    apt-get -qq update && apt-get -qq install -y --no-install-recommends nftables >/dev/null
    nft -f /etc/gpuaas-node-agent/firewall.nft
    mkdir -p /opt/gpuaas-node-agent/release
    tar -C /root -czf /opt/gpuaas-node-agent/release/host-0.0.1.tar.gz --format=ustar systemd`);
}, 600_000);
afterAll(async () => await host?.[Symbol.asyncDispose]());

async function doctor(): Promise<Record<string, CheckResult>> {
  const { stdout, stderr } = await nodeAgent(host, ['doctor', '--json']);
  if (!stdout.startsWith('{')) throw new Error(`${stdout}${stderr}`);
  const { checks } = JSON.parse(stdout) as { checks: CheckResult[] };
  return Object.fromEntries(checks.map((check) => [check.name, check]));
}

/** As the daemon sees it, with its own rights alone. */
async function daemonsView(): Promise<CheckResult[]> {
  const curl = 'curl -s --max-time 60 --unix-socket /run/gpuaas-node-agent/agent.sock http://agent/v1/doctor';
  return (JSON.parse(await host.sh(curl)) as { checks: CheckResult[] }).checks;
}

describe('the doctor of a host', () => {
  it('fails nothing that an agent without rights only may not see', async () => {
    const checks = await daemonsView();

    const failed = checks.filter(({ status }) => status === 'fail').map(({ name, found }) => `${name}: ${found}`);
    expect(failed).toEqual([]);
    const hidden = checks.filter(({ found }) => /may not look/.test(found)).map(({ name }) => name);
    expect(hidden).toEqual(expect.arrayContaining(['allocation.home', 'network.firewall_loaded']));
  });

  it('has root look at what the daemon may not', async () => {
    const checks = await doctor();

    expect(checks).toMatchObject({
      'engine.reachable': { status: 'ok' },
      'engine.limits': { status: 'ok' },
      'engine.version': {
        status: 'ok',
        found: expect.stringContaining('the firewall of the pool keeps neighbours out'),
      },
      'allocation.home': { status: 'ok' },
      'host.system': { status: 'ok', found: expect.stringContaining('debian 13') },
      'host.state_dir': { status: 'ok' },
      'host.secrets_dir': { status: 'ok' },
      'host.units': { status: 'ok', found: expect.stringContaining('as in the release') },
      'network.firewall': { status: 'ok' },
      'network.firewall_loaded': { status: 'ok' },
      'state.journal': { status: 'ok', found: 'The journal is sound, and can be written.' },
      'update.state': { status: 'ok', found: expect.stringContaining('0.0.1 runs') },
      'host.agent_user': { status: 'ok' },
      'host.folders': { status: 'ok' },
      'disk.versions': { status: 'ok' },
      'runtime.runc': { status: 'ok' },
      'control_plane.tls': { status: 'skipped' },
    });
    expect(Object.values(checks).filter(({ found }) => found.includes('The check itself failed'))).toEqual([]);
  });

  it('sees a unit that somebody changed, and one that nothing starts', async () => {
    await host.sh('echo "# by hand" >>/etc/systemd/system/gpuaas-node-agent-gate.service');
    const changed = (await doctor())['host.units'];
    await host.sh(`cp /root/systemd/gpuaas-node-agent-gate.service /etc/systemd/system/
      systemctl disable --quiet gpuaas-node-agent-update.path`);
    const idle = (await doctor())['host.units'];
    await host.sh('systemctl enable --quiet gpuaas-node-agent-update.path');

    expect(changed).toMatchObject({ status: 'warn', found: expect.stringContaining('gpuaas-node-agent-gate.service') });
    expect(idle).toMatchObject({ status: 'fail', found: expect.stringContaining('gpuaas-node-agent-update.path') });
    expect((await doctor())['host.units']).toMatchObject({ status: 'ok' });
  });

  it('sees a firewall that lies in its file and is not loaded', async () => {
    await host.sh('nft delete table inet gpuaas_node_agent');
    const checks = await doctor();
    await host.sh('nft -f /etc/gpuaas-node-agent/firewall.nft');

    expect(checks['network.firewall_loaded']).toMatchObject({ status: 'fail' });
  });

  it('sees bounds of logs in the configuration of the engine, and keys that others may read', async () => {
    await host.sh(`mkdir -p /etc/docker && echo '{"log-opts":{"max-size":"10m"}}' >/etc/docker/daemon.json
      chmod 0640 /var/lib/gpuaas-node-agent`);
    const checks = await doctor();
    await host.sh('chmod 0700 /var/lib/gpuaas-node-agent; rm /etc/docker/daemon.json');

    expect(checks['engine.log_rotation']).toMatchObject({ status: 'ok', found: expect.stringContaining('10m') });
    expect(checks['host.state_dir']).toMatchObject({ status: 'fail', fix: expect.stringContaining('chmod 0700') });
    expect((await doctor())['engine.log_rotation']).toMatchObject({ status: 'warn' });
  });

  it('makes a bundle that has the log of the services, which the agent itself may not read', async () => {
    const { stdout } = await nodeAgent(host, ['doctor', '--bundle', '/root/bundle.tar.gz', '--json']);
    const names = (JSON.parse(stdout) as { files: string[] }).files;
    const log = await host.sh('cd /root && tar -xzf bundle.tar.gz && cat diagnostics/agent.log');

    expect(names).toEqual(expect.arrayContaining(['agent.log', 'status.json', 'journal.json', 'doctor.own.json']));
    expect(log).toContain('agent runs');
    expect(await host.sh('stat -c %a /root/bundle.tar.gz')).toMatch(/^600/);
  });
});

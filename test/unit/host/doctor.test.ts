import { expect, it } from 'vitest';
import { judge } from '../../../src/contract/validate.ts';
import { runChecks } from '../../../src/host/doctor/check.ts';
import { hostChecks } from '../../../src/host/doctor.ts';
import { HostPolicy } from '../../../src/policy/host-policy.ts';
import { policy, report } from './doctor/reports.ts';
import { patience, pretendRoot, testFolder } from './stand-ins.ts';

it('checks everything once, asks the engine once, and gives each failed check a next step', async () => {
  let questions = 0;
  const askEngine = () => {
    questions += 1;
    return Promise.resolve(report());
  };
  const root = pretendRoot({ 'proc/net/route': 'Iface\n', 'sys/devices/system/cpu/online': '0-3' });

  const results = await runChecks(hostChecks({ policy, stateDir: testFolder(), askEngine, path: testFolder(), root }), {
    signal: patience,
  });

  expect(results.map(({ name }) => name)).toEqual([
    ...['engine.reachable', 'engine.version', 'engine.limits', 'engine.cgroups', 'engine.storage'],
    ...['engine.sandboxes', 'engine.live_restore', 'engine.log_rotation', 'engine.registry_trust'],
    ...[
      'runtime.approved',
      'runtime.compose',
      'runtime.runc',
      'runtime.gvisor',
      'runtime.squashfs',
      'gpu.driver',
      'gpu.runtime',
      'gpu.mig',
    ],
    ...['gpu.devices', 'gpu.kernel_log', 'gpu.toolkit', 'gpu.persistence', 'gpu.fabric_manager', 'disk.engine'],
    ...[
      'disk.state',
      'disk.inputs',
      'host.reserves',
      'host.secrets_dir',
      'host.state_dir',
      'state.journal',
      'host.clock',
    ],
    ...['host.time_sync', 'allocation.home', 'network.pool', 'host.system', 'host.units', 'network.firewall'],
    ...['network.firewall_loaded', 'update.state', 'host.agent_user', 'host.folders', 'disk.versions'],
    ...['control_plane.dns', 'control_plane.tls', 'control_plane.time'],
  ]);
  expect(questions).toBe(1);
  for (const { status, found, why, fix } of results) {
    expect(found).toMatch(/[.]$/);
    expect(why).toMatch(/[.]$/);
    expect(fix === null).toBe(status === 'ok' || status === 'skipped');
  }
});

it('takes host policy as it is configured', () => {
  const configured: HostPolicy = {
    node_id: 'n',
    allocation: { id: 'a', uid: 1000, gid: 1000, home: '/home/a' },
    registries: [],
    local_images: [],
    project_storage: false,
    network_pool: '10.213.0.0/16',
    approved_engines: ['docker'],
    sandboxes: { runc: 'runc' },
    reserves: { cpu_cores: 1, memory_gib: 1, disk_gib: 1 },
    limits: { pids: 1024, open_files: 1024 },
    secrets_dir: '/run/s',
    inputs: { dir: '/var/lib/s', max_gib: 1, max_age_hours: 1, allow: [], endpoints: {} },
  };

  expect(judge(HostPolicy, configured)).toMatchObject({ ok: true });
  expect(() =>
    hostChecks({ policy: configured, stateDir: '/s', askEngine: () => Promise.resolve(report()), path: '' }),
  ).not.toThrow();
});

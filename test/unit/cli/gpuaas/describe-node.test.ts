import { expect, it } from 'vitest';
import { describeNode, type Node } from '../../../../src/cli/gpuaas/describe-node.ts';
import { sampleGpu } from '../../../support/gpus.ts';

const now = Date.parse('2026-11-25T10:05:00Z');
const fresh: Node = {
  ...{
    id: 'node-1',
    name: 'gpu-1\nstatus  fine',
    allocation_id: 'allocation-1',
    status: 'enrolled',
    status_reason: null,
  },
  ...{ connected: false, last_seen_at: null, drain: false, enrolled_at: '2026-11-25T10:00:00Z', agent_version: null },
  ...{
    inventory: null,
    runtime: null,
    topology: null,
    ...{ channel: 'stable', canary: false, behind: null, update: null },
  },
  ...{ readiness: { state: 'unknown', reasons: ['It has not said yet what it can run.'] }, drift: [] },
};

it('shows of a node that has never connected what is known, each thing on one line', () => {
  const lines = describeNode(fresh, now).split('\n');

  expect(lines).toContain('name        gpu-1\\nstatus  fine');
  expect(lines).toContain('connected   never was');
  expect(lines).toContain('ready       unknown: It has not said yet what it can run.');
  expect(lines).toContain('enrolled    5 min ago');
  expect(lines).toContain('runtime     not asked yet');
  expect(lines).toContain('doctor      not asked yet');
});

it('says of a node why it takes no work, what is free there and what runs', () => {
  const text = describeNode(
    {
      ...fresh,
      ...{
        status: 'quarantined',
        status_reason: 'two hosts',
        last_seen_at: '2026-11-25T10:04:00Z',
        agent_version: '1.2',
      },
      inventory: {
        ...{ os: 'Debian 12', kernel: '6.1', arch: 'x64', draining: true },
        health: {
          ...{ ok: 17, warn: 0, fail: 1, skipped: 3 },
          findings: [
            { name: 'engine.limits', status: 'fail', found: 'No limit for pids.', fix: 'Enable it\nand reboot.' },
          ],
        },
      },
      runtime: {
        ...{ ready: false, reasons: ['The engine is away.'], probed_at: '2026-11-25T10:04:30Z' },
        compose_version: null,
        gpus: [
          sampleGpu({ held_by: 'app-1' }),
          sampleGpu({ uuid: 'GPU-2', health: 'unhealthy', reason: 'It does not answer.' }),
          sampleGpu({ uuid: 'MIG-3', mig: { parent: 'GPU-2', profile: '1g.10gb' } }),
        ],
        runtimes: [
          { name: 'docker', state: 'not_running', version: '28.1', reason: 'Its socket is gone.' },
          { name: 'nerdctl', state: 'not_installed', version: null, reason: null },
        ],
        resources: { cpu_cores: { total: 16, free: 4 }, memory_gib: { total: 64, free: 8.5 } },
      },
      drift: [{ what: 'Compose', expected: 'version 2', found: 'missing', remedy: 'Rebootstrap the host.' }],
      topology: { workloads: [{ workload_id: 'app-1', state: 'degraded', restarts: 3 }] },
    },
    now,
  );

  expect(text).toMatch(/^doctor +1 failed, 0 warnings, 17 ok, 3 skipped$/m);
  expect(text).toMatch(/^fail +engine\.limits +No limit for pids\. +Enable it\\nand reboot\.$/m);
  expect(text).toMatch(/^status +quarantined: two hosts$/m);
  expect(text).toMatch(/^connected +no, last seen 1 min ago$/m);
  expect(text).toMatch(/^drain +by its host$/m);
  expect(text).toMatch(/^system +Debian 12, kernel 6.1, x64$/m);
  expect(text).toMatch(/^runtime +not ready: The engine is away., asked 30 s ago$/m);
  expect(text).toMatch(/^ +docker 28.1: Its socket is gone.$/m);
  expect(text).toMatch(/^ +nerdctl: not installed$/m);
  expect(text).toMatch(/^compose +not installed: no stack can be launched$/m);
  expect(text).toMatch(/^Compose +missing +expected version 2 +Rebootstrap the host.$/m);
  expect(text).toMatch(/^GPUs +3$/m);
  expect(text).toMatch(/^GPU-1 +nvidia +NVIDIA H100 80GB HBM3 +81559 MiB +healthy +held by app-1$/m);
  expect(text).toMatch(/^GPU-2 .* unhealthy: It does not answer. +free$/m);
  expect(text).toMatch(/^MIG-3 +nvidia +NVIDIA H100 80GB HBM3 \(1g.10gb of GPU-2\)/m);
  expect(text).toMatch(/^memory GiB +8.5 free of 64$/m);
  expect(text).toMatch(/^app-1 +degraded +restarted 3 times$/m);
});

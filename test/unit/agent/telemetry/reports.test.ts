/** Topology and inventory: told when they change, and only then. */

import { describe, expect, it } from 'vitest';
import { InventoryReporter } from '../../../../src/agent/telemetry/inventory.ts';
import { TopologyReporter } from '../../../../src/agent/telemetry/topology.ts';
import type { HostHealth } from '../../../../src/contract/host-health.ts';
import { InventoryBody, type RecordBody, TopologyBody } from '../../../../src/contract/records.ts';
import { judge } from '../../../../src/contract/validate.ts';
import type { WorkloadOciRuntimeStatusOutput } from '../../../../src/contract/workload-oci-runtime-status.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { eventually } from '../../../support/eventually.ts';
import { sampleGpu } from '../../../support/gpus.ts';
import { agentStatus } from '../../../support/local-agent.ts';
import { manualClock } from '../../../support/manual-clock.ts';

type Workloads = RecordBody<'topology'>['workloads'];
const [workload] = agentStatus.workloads as [Workloads[number]];

describe('the topology', () => {
  function bench(first: Workloads) {
    const clock = manualClock();
    let workloads = first;
    const records: RecordBody<'topology'>[] = [];
    const reporter = new TopologyReporter({
      ...{ clock, workloads: () => workloads, record: (body) => void records.push(body), settleMs: 200 },
    });
    return { clock, reporter, records, set: (next: Workloads) => (workloads = next) };
  }

  it('is reported once for changes that come together', async () => {
    const { clock, reporter, records, set } = bench([workload]);

    reporter.changed();
    set([{ ...workload, state: 'stopping' }]);
    reporter.changed();
    set([{ ...workload, state: 'stopped' }]);
    reporter.changed();
    await clock.advance(1000);

    expect(records).toMatchObject([{ workloads: [{ state: 'stopped' }] }]);
    expect(judge(TopologyBody, records[0]).ok).toBe(true);
  });

  it('is not reported where nothing has changed, also not in another order', async () => {
    const other = { ...workload, workload_id: 'a-first' };
    const { clock, reporter, records, set } = bench([workload, other]);
    reporter.changed();
    await clock.advance(1000);

    set([other, workload]);
    reporter.changed();
    await clock.advance(1000);

    expect(records).toHaveLength(1);
    expect(clock.waiting()).toEqual([]);
  });

  it('is reported to whoever asks, whether it has changed or not', async () => {
    const { reporter, records } = bench([]);

    reporter.report();
    reporter.report();

    expect(records).toHaveLength(2);
  });
});

describe('the inventory', () => {
  const runtime: WorkloadOciRuntimeStatusOutput = {
    ...{
      ready: true,
      reasons: [],
      probed_at: '2026-11-25T12:00:00Z',
      runtimes: [],
      compose_version: null,
      engine: {
        ...{ version: '26.1.5', api_version: '1.45', runtimes: ['runc'], storage_driver: 'overlay2' },
        ...{ cgroup_driver: 'systemd', cgroup_version: '2', root_dir: '/var/lib/docker' },
      },
    },
    gpus: [],
    resources: {
      cpu_cores: { total: 8, reserved: 0, used: 0, free: 8 },
      memory_gib: { total: 32, reserved: 1, used: 0, free: 31 },
      disk_gib: { total: 100, reserved: 2, used: 50.1, free: 47.9 },
    },
  };

  const keptItem = {
    ...{ kind: 'cache' as const, project_id: 'project-1', revision_sha256: 'a'.repeat(64), name: 'pip' },
    ...{ class: 'pip' as const, bytes: null, max_bytes: 5, used_at: '2026-11-25T10:00:00Z', in_use: false },
  };
  const sound: HostHealth = { ok: 3, warn: 0, fail: 0, skipped: 1, findings: [] };

  function bench() {
    const clock = manualClock();
    const host = {
      runtime,
      draining: false,
      fails: false,
      probes: 0,
      meanwhile: () => undefined as unknown,
      health: sound,
      kept: ['1', '2'].map((digit) => digit.repeat(24)),
    };
    const records: RecordBody<'inventory'>[] = [];
    const reporter = new InventoryReporter({
      ...{ clock, log: createLog({ level: 'silent' }), agentVersion: '0.1.0', sshUser: 'tenant' },
      draining: () => host.draining,
      probe: async () => {
        host.probes += 1;
        await host.meanwhile();
        if (host.fails) {
          throw new Error('nobody answers');
        }
        return { ...host.runtime, probed_at: new Date(clock.wallMs()).toISOString() };
      },
      health: async () => host.health,
      kept: async () => host.kept.map((id) => ({ ...keptItem, id })),
      record: (body) => void records.push(body),
      everyMs: 3_600_000,
    });
    return { clock, host, reporter, records };
  }
  const signal = new AbortController().signal;

  it('is reported at first, and then only when something has changed', async () => {
    const { reporter, records, host } = bench();
    await reporter.look(signal);
    expect(judge(InventoryBody, records[0]).ok).toBe(true);
    expect(records[0]?.kept?.map(({ id }) => id[0])).toEqual(['2', '1']);

    host.runtime = {
      ...runtime,
      resources: { ...runtime.resources, disk_gib: { ...runtime.resources.disk_gib, free: 47.8 } },
    };
    await reporter.look(signal);
    expect(records).toHaveLength(1);

    host.draining = true;
    await reporter.look(signal);
    host.runtime = { ...runtime, gpus: [sampleGpu()] };
    await reporter.look(signal);
    expect(records.slice(1)).toMatchObject([{ draining: true }, { runtime: { gpus: [{ uuid: 'GPU-1' }] } }]);
  });

  it('is taken once more for all who ask while it is taken: it may have seen what is over', async () => {
    const { reporter, records, host } = bench();
    const { promise: asked, resolve: began } = Promise.withResolvers<void>();
    const { promise: goOn, resolve: answer } = Promise.withResolvers<void>();
    host.meanwhile = () => {
      began();
      return goOn;
    };
    const first = reporter.look(signal);
    await asked;

    const others = [reporter.look(signal), reporter.look(signal)];
    host.runtime = { ...runtime, ready: false, reasons: ['The gate is away.'] };
    answer();
    await Promise.all([first, ...others]);

    expect(host.probes).toBe(2);
    expect(records.at(-1)?.runtime.reasons).toEqual(['The gate is away.']);
  });

  it('tells of a drain that began while it was taken', async () => {
    const { reporter, records, host } = bench();
    host.meanwhile = () => {
      host.draining = true;
    };

    await reporter.look(signal);

    expect(records.at(-1)?.draining).toBe(true);
  });

  it('looks once for all who ask at the same time', async () => {
    const { reporter, host } = bench();

    await Promise.all([reporter.look(signal), reporter.look(signal)]);

    expect(host.probes).toBe(1);
  });

  it('is taken again each hour until it is stopped, also after a look that failed', async () => {
    const { reporter, host, clock } = bench();
    const stop = new AbortController();
    const running = reporter.run(stop.signal);

    const hour = async () => {
      await eventually(() => expect(clock.waiting()).toEqual([3_600_000]));
      await clock.advance(3_600_000);
    };

    await hour();
    host.fails = true;
    await hour();
    host.fails = false;
    await hour();
    await eventually(() => expect(host.probes).toBe(4));

    stop.abort();
    await running;
    expect(clock.waiting()).toEqual([]);
  });

  it('is taken again soon, and then less often, until an engine answers that gave no answer', async () => {
    const { reporter, records, host, clock } = bench();
    host.runtime = {
      ...runtime,
      engine: null,
      ready: false,
      reasons: ['The container engine did not answer in time.'],
    };
    await reporter.look(signal);

    for (const [index, most] of [5000, 10_000, 20_000].entries()) {
      await eventually(() => expect([host.probes, clock.waiting()]).toEqual([index + 1, [expect.any(Number)]]));
      const [wait = 0] = clock.waiting();
      expect(wait).toBeLessThanOrEqual(most);
      expect(wait).toBeGreaterThanOrEqual(most / 2);
      if (most === 20_000) host.runtime = runtime;
      await clock.advance(wait);
    }
    await eventually(() => expect(records.map(({ runtime: { ready } }) => ready)).toEqual([false, true]));

    expect(host.probes).toBe(4);
    expect(clock.waiting()).toEqual([]);
  });
});

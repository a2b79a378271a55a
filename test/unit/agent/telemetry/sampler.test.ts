import { describe, expect, it } from 'vitest';
import type { GpuSample, Measured, MetricsBody } from '../../../../src/agent/telemetry/sample.ts';
import { Sampler } from '../../../../src/agent/telemetry/sampler.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { MetricsBody as MetricsSchema } from '../../../../src/contract/records.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { createLog } from '../../../../src/kit/log.ts';
import type { ContainerStats } from '../../../../src/runtime/engine.ts';
import { manualClock } from '../../../support/manual-clock.ts';

/** `a` is a container of its own, `b.web` that of a service. */
function measured(text: string): Measured {
  const [workload_id = '', service = null] = text.split('.');
  return { workload_id, service, container: `gpuaas-${text}` };
}

/** A host on which each second costs one second of CPU in all, and half of one for each workload. */
function bench(first: readonly string[]) {
  const clock = manualClock();
  const start = clock.wallMs();
  let running = [...first];
  const asked: string[] = [];
  const gone = new Set<string>();
  const cards: GpuSample[] = [];
  const records: MetricsBody[] = [];
  const elapsed = () => (clock.wallMs() - start) / 1000;
  const sampler = new Sampler({
    clock,
    log: createLog({ level: 'silent' }),
    intervalMs: 10_000,
    running: () => running.map(measured),
    readGpus: async () => cards,
    record: (body) => void records.push(body),
    readHost: async () => ({
      ...{ cpuSeconds: 500 + elapsed(), memoryUsedBytes: 3, memoryTotalBytes: 8, diskFreeBytes: 5, diskTotalBytes: 9 },
    }),
    engine: {
      stats: async (name): Promise<ContainerStats> => {
        asked.push(name);
        if (gone.has(name)) {
          throw new AgentError('container.exited', { container: name });
        }
        return {
          ...{ time: new Date(clock.wallMs()).toISOString(), cpuSeconds: elapsed() / 2, memoryBytes: 100 },
          ...{ memoryLimitBytes: 200, networkReceivedBytes: 1, networkSentBytes: 2, pids: 4 },
        };
      },
    },
  });
  return { clock, sampler, asked, records, gone, cards, run: (...ids: string[]) => (running = ids) };
}

describe('the sampling loop', () => {
  it('does nothing at all while nothing runs: no timer, no question', async () => {
    const { sampler, clock, asked } = bench([]);

    sampler.wake();
    await clock.advance(3_600_000);

    expect(asked).toEqual([]);
    expect(clock.waiting()).toEqual([]);
  });

  it('records what was used over each interval while something runs', async () => {
    const { sampler, clock, records } = bench(['a']);

    sampler.wake();
    await clock.advance(20_000);

    expect(records).toHaveLength(2);
    expect(records[1]).toMatchObject({
      at: '2026-11-25T12:00:20.000Z',
      interval_seconds: 10,
      host: { cpu_cores_used: 1, memory_used_bytes: 3, disk_free_bytes: 5 },
      workloads: [{ workload_id: 'a', cpu_seconds: 10, cpu_cores: 0.5, memory_bytes: 100, pids: 4 }],
    });
    expect(records.filter((body) => !judge(MetricsSchema, body).ok)).toEqual([]);
    sampler.stop();
  });

  it('ends with the last workload, forgets its sample, and begins again with the next', async () => {
    const { sampler, clock, records, run } = bench(['a']);
    sampler.wake();
    await clock.advance(10_000);
    expect(sampler.latest?.workloads).toHaveLength(1);

    run();
    await clock.advance(10_000);
    const before = records.length;
    await clock.advance(3_600_000);
    expect(records).toHaveLength(before);
    expect(clock.waiting()).toEqual([]);
    expect(sampler.latest).toBeUndefined();

    run('b');
    sampler.wake();
    await clock.advance(10_000);
    expect(records.at(-1)).toMatchObject({ workloads: [{ workload_id: 'b' }] });
    sampler.stop();
  });

  it('has each service of a stack, and their sum', async () => {
    const { sampler, clock, records, run, gone } = bench(['b.web', 'b.db', 'a']);
    sampler.wake();
    await clock.advance(10_000);
    gone.add('gpuaas-b.db');
    await clock.advance(10_000);
    run('b.web', 'a');

    const [both, one] = records.map(({ workloads }) => workloads.find(({ workload_id }) => workload_id === 'b'));
    expect(both).toMatchObject({ cpu_seconds: 10, cpu_cores: 1, memory_bytes: 200, pids: 8 });
    expect(both?.services).toMatchObject([
      { service: 'web', cpu_cores: 0.5, memory_bytes: 100 },
      { service: 'db', cpu_cores: 0.5 },
    ]);
    expect(one).toMatchObject({ cpu_cores: 0.5, services: [{ service: 'web' }] });
    expect(records[0]?.workloads.find(({ workload_id }) => workload_id === 'a')).not.toHaveProperty('services');
    expect(records.filter((body) => !judge(MetricsSchema, body).ok)).toEqual([]);
    sampler.stop();
  });

  it('has the cards that answer, and no word of cards where none do', async () => {
    const { sampler, clock, records, cards } = bench(['a']);
    sampler.wake();
    await clock.advance(10_000);
    const card = { uuid: 'GPU-1', workload_id: 'a', utilization_percent: 97, memory_used_mib: 10 };
    cards.push({ ...card, memory_total_mib: null, temperature_celsius: 61, power_watts: 412.5 });
    await clock.advance(10_000);

    expect(records[0]).not.toHaveProperty('gpus');
    expect(records[1]?.gpus).toEqual(cards);
    expect(judge(MetricsSchema, records[1]).ok).toBe(true);
    sampler.stop();
  });

  it('is one loop, however often it is woken', async () => {
    const { sampler, clock, records } = bench(['a']);

    for (let times = 0; times < 5; times += 1) {
      sampler.wake();
    }
    await clock.advance(10_000);

    expect(records).toHaveLength(1);
    sampler.stop();
  });

  it('leaves out a workload that has no reading before, and one that has just ended', async () => {
    const { sampler, clock, records, run, gone } = bench(['a']);
    sampler.wake();
    await clock.advance(10_000);

    run('a', 'b');
    await clock.advance(10_000);
    expect(records.at(-1)?.workloads.map(({ workload_id }) => workload_id)).toEqual(['a']);

    gone.add('gpuaas-a');
    await clock.advance(10_000);
    expect(records.at(-1)?.workloads.map(({ workload_id }) => workload_id)).toEqual(['b']);
    sampler.stop();
  });

  it('is not confused by a clock that jumps a day (FAULTS 20)', async () => {
    const { sampler, clock, records } = bench(['a']);
    sampler.wake();
    await clock.advance(10_000);

    clock.setWall(clock.wallMs() - 86_400_000);
    await clock.advance(10_000);

    expect(records[1]?.interval_seconds).toBe(10);
    expect(records.filter((body) => !judge(MetricsSchema, body).ok)).toEqual([]);
    sampler.stop();
  });
});

/**
 * What it costs to measure many containers at the real interval: agent and gate together, which are one process here. What
 * the engine does for it is not ours.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Sampler } from '../src/agent/telemetry/sampler.ts';
import { readHostUse } from '../src/host/use.ts';
import { systemClock } from '../src/kit/clock.ts';
import { createLog } from '../src/kit/log.ts';
import { runWorkload } from '../test/integration/engine-workload.ts';
import type { TestHost } from '../test/support/test-host.ts';
import type { Measurement } from './measurement.ts';

const containers = 50;
/** As a host is configured that says nothing else. */
const intervalMs = 15_000;
const rounds = 4;

export async function samplingCost(host: TestHost): Promise<Measurement> {
  const resources = { gpu_count: 0, cpu_cores: 0.1, memory_gib: 0.0625 };
  const names: string[] = [];
  for (let count = 0; count < containers; count += 1) {
    names.push(await runWorkload(host, 'while :; do sleep 1000; done', { resources }));
  }
  const measured = names.map((container) => ({
    workload_id: container.slice('gpuaas-'.length),
    service: null,
    container,
  }));
  const theirs = await shareOf(() => pause(intervalMs));

  const done = Promise.withResolvers<void>();
  let records = 0;
  const sampler = new Sampler({
    ...{ engine: host.engine, clock: systemClock, log: createLog({ level: 'error' }), intervalMs },
    running: () => measured,
    readHost: () => readHostUse('/'),
    readGpus: async () => [],
    record: ({ workloads }) => {
      records += 1;
      if (workloads.length !== containers) {
        done.reject(new Error(`measured ${workloads.length} of ${containers} containers`));
      } else if (records === rounds) {
        done.resolve();
      }
    },
  });
  const ours = await shareOf(async () => {
    sampler.wake();
    await done.promise;
  });
  sampler.stop();
  return {
    ...{ name: `sampling ${containers} containers every ${intervalMs / 1000} s`, unit: '% of a core', ours, theirs },
    ...{ against: 'the same process, idle', target: 'at most 2 %', met: ours <= 2 },
  };
}

/** Share of one core that this process uses meanwhile. */
async function shareOf(work: () => Promise<unknown>): Promise<number> {
  const [before, startedAt] = [process.cpuUsage(), performance.now()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) / 1000 / (performance.now() - startedAt)) * 100;
}

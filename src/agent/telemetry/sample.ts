/** Two readings of host and workloads, and what lies between them. */
import type { Static } from 'typebox';
import type { GpuSample as GpuSampleSchema, RecordBody } from '../../contract/records.ts';
import type { HostUse } from '../../host/use.ts';
import type { ContainerStats } from '../../runtime/engine.ts';

export type MetricsBody = RecordBody<'metrics'>;
export type GpuSample = Static<typeof GpuSampleSchema>;

/** A container that is measured. */
export interface Measured {
  readonly workload_id: string;
  /** Null for the container of a workload that is no stack. */
  readonly service: string | null;
  readonly container: string;
}

export interface Reading {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  readonly monotonicMs: number;
  readonly host: HostUse;
  /** Containers that answered. */
  readonly containers: ReadonlyMap<string, Measured & { readonly stats: ContainerStats }>;
  /** Cards that answered. */
  readonly gpus: readonly GpuSample[];
}

/**
 * Only containers that were running at both ends: without a reading before, nobody knows what one uses now. One that was
 * started again in between counts anew. A stack is the sum of its services.
 */
export function sampleOf(before: Reading, now: Reading): MetricsBody {
  const seconds = (now.monotonicMs - before.monotonicMs) / 1000;
  const samples = [...now.containers.values()].flatMap(({ stats, ...measured }) => {
    const earlier = before.containers.get(measured.container)?.stats;
    const isSame = earlier !== undefined && earlier.cpuSeconds <= stats.cpuSeconds;
    return isSame ? [{ ...measured, use: useOf(earlier, stats) }] : [];
  });
  return {
    at: new Date(now.wallMs).toISOString(),
    interval_seconds: seconds,
    host: {
      cpu_cores_used: rate(now.host.cpuSeconds - before.host.cpuSeconds, seconds),
      memory_used_bytes: now.host.memoryUsedBytes,
      memory_total_bytes: now.host.memoryTotalBytes,
      disk_free_bytes: now.host.diskFreeBytes,
      disk_total_bytes: now.host.diskTotalBytes,
    },
    workloads: [...Map.groupBy(samples, ({ workload_id }) => workload_id)].map(([workload_id, own]) => {
      const services = own.flatMap(({ service, use }) => (service === null ? [] : [{ service, ...use }]));
      const whole = own.map(({ use }) => use).reduce(sumOf);
      return { workload_id, ...whole, ...(services.length > 0 ? { services } : {}) };
    }),
    ...(now.gpus.length > 0 ? { gpus: [...now.gpus] } : {}),
  };
}

type Use = Omit<MetricsBody['workloads'][number], 'workload_id' | 'services'>;

function useOf(earlier: ContainerStats, stats: ContainerStats): Use {
  // By the engine's own moments: the two readings of a busy engine may lie further apart than our questions.
  const seconds = (Date.parse(stats.time) - Date.parse(earlier.time)) / 1000;
  return {
    cpu_seconds: stats.cpuSeconds,
    cpu_cores: rate(stats.cpuSeconds - earlier.cpuSeconds, seconds),
    memory_bytes: stats.memoryBytes,
    memory_limit_bytes: stats.memoryLimitBytes,
    network_received_bytes: stats.networkReceivedBytes,
    network_sent_bytes: stats.networkSentBytes,
    pids: stats.pids,
  };
}

function sumOf(one: Use, other: Use): Use {
  return {
    cpu_seconds: one.cpu_seconds + other.cpu_seconds,
    cpu_cores: rounded(one.cpu_cores + other.cpu_cores),
    memory_bytes: one.memory_bytes + other.memory_bytes,
    memory_limit_bytes: one.memory_limit_bytes + other.memory_limit_bytes,
    network_received_bytes: one.network_received_bytes + other.network_received_bytes,
    network_sent_bytes: one.network_sent_bytes + other.network_sent_bytes,
    pids: one.pids + other.pids,
  };
}

/** Three decimals; 0 where there was no time in between. */
function rate(amount: number, seconds: number): number {
  return seconds > 0 ? rounded(Math.max(0, amount) / seconds) : 0;
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

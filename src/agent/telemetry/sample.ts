/** Two readings of host and workloads, and what lies between them. */
import type { RecordBody } from '../../contract/records.ts';
import type { HostUse } from '../../host/use.ts';
import type { ContainerStats } from '../../runtime/engine.ts';

export type MetricsBody = RecordBody<'metrics'>;

export interface Reading {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  readonly monotonicMs: number;
  readonly host: HostUse;
  readonly workloads: ReadonlyMap<string, ContainerStats>;
}

/**
 * Only workloads that were running at both ends: without a reading before, nobody knows what a workload uses now. One
 * that was started again in between counts anew.
 */
export function sampleOf(before: Reading, now: Reading): MetricsBody {
  const seconds = (now.monotonicMs - before.monotonicMs) / 1000;
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
    workloads: [...now.workloads].flatMap(([id, stats]) => {
      const earlier = before.workloads.get(id);
      const isSame = earlier !== undefined && earlier.cpuSeconds <= stats.cpuSeconds;
      return isSame ? [workloadSample(id, earlier, stats)] : [];
    }),
  };
}

function workloadSample(id: string, earlier: ContainerStats, stats: ContainerStats): MetricsBody['workloads'][number] {
  // By the engine's own moments: the two readings of a busy engine may lie further apart than our questions.
  const seconds = (Date.parse(stats.time) - Date.parse(earlier.time)) / 1000;
  return {
    workload_id: id,
    cpu_seconds: stats.cpuSeconds,
    cpu_cores: rate(stats.cpuSeconds - earlier.cpuSeconds, seconds),
    memory_bytes: stats.memoryBytes,
    memory_limit_bytes: stats.memoryLimitBytes,
    network_received_bytes: stats.networkReceivedBytes,
    network_sent_bytes: stats.networkSentBytes,
    pids: stats.pids,
  };
}

/** Three decimals; 0 where there was no time in between. */
function rate(amount: number, seconds: number): number {
  return seconds > 0 ? Math.round((Math.max(0, amount) / seconds) * 1000) / 1000 : 0;
}

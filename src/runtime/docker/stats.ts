/** Resource use of a running container, as one reading. */
import { AgentError } from '../../contract/failures.ts';
import type { ContainerStats } from '../engine.ts';
import type { Calls } from './calls.ts';

export async function readStats(calls: Calls, container: string, signal: AbortSignal): Promise<ContainerStats> {
  const options = { call: 'stats', timeoutMs: calls.timeouts.lookMs, signal, container };
  const stats = await calls.run(options, async (docker, abortSignal) => {
    // `one-shot`: without it the engine takes a second reading a second later, for a rate that we compute ourselves.
    const query = { stream: false, 'one-shot': true, abortSignal } as const;
    return (await docker.getContainer(container).stats(query)) as unknown as StatsObject;
  });
  if (stats.memory_stats?.usage === undefined) {
    throw new AgentError('container.exited', {
      container,
      reason: 'It does not run, or the engine cannot read what it uses.',
    });
  }
  return readStatsObject(stats);
}

export function readStatsObject(stats: StatsObject): ContainerStats {
  const { usage = 0, limit = 0, stats: pages = {} } = stats.memory_stats ?? {};
  const networks = Object.values(stats.networks ?? {});
  // Page cache that the kernel takes back at once is not use: cgroup v2, else v1.
  const cache = pages['inactive_file'] ?? pages['total_inactive_file'] ?? 0;
  return {
    time: stats.read,
    cpuSeconds: (stats.cpu_stats?.cpu_usage?.total_usage ?? 0) / 1e9,
    memoryBytes: Math.max(0, usage - cache),
    memoryLimitBytes: limit,
    networkReceivedBytes: networks.reduce((sum, { rx_bytes }) => sum + (rx_bytes ?? 0), 0),
    networkSentBytes: networks.reduce((sum, { tx_bytes }) => sum + (tx_bytes ?? 0), 0),
    pids: stats.pids_stats?.current ?? 0,
  };
}

/** The engine's reading (Docker Engine API 1.41), as far as it is read. */
export interface StatsObject {
  readonly read: string;
  readonly cpu_stats?: { readonly cpu_usage?: { readonly total_usage?: number } };
  readonly memory_stats?: {
    readonly usage?: number;
    readonly limit?: number;
    readonly stats?: Readonly<Record<string, number>>;
  };
  readonly networks?: Readonly<Record<string, { readonly rx_bytes?: number; readonly tx_bytes?: number }>> | null;
  readonly pids_stats?: { readonly current?: number };
}

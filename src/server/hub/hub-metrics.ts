/** What the hub and its queue have done since they started, for Prometheus. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { TaskResult } from '../../contract/task-envelope.ts';

export interface HubCounts {
  /** Nodes that have a session now. */
  readonly sessions: number;
  /** Sessions that were let in. */
  readonly admitted: number;
  /** Those of nodes that had had one before. */
  readonly reconnected: number;
  readonly refused: number;
  readonly protocol_errors: number;
  /** Records that were kept; a repetition counts for nothing. */
  readonly records: number;
}

export interface Counted {
  readonly hub: { counters(): HubCounts };
  readonly queue: { ended(): Readonly<Record<TaskResult['status'], number>> };
}

/** Reads the counts whenever the metrics are asked for. */
export function exposeHub(registry: Registry, { hub, queue }: Counted): void {
  const registers = [registry];
  new Gauge({
    ...{ name: 'gpuaas_nodes_connected', help: 'Nodes that have a session.', registers },
    collect() {
      this.set(hub.counters().sessions);
    },
  });
  const counters: readonly [string, string, keyof HubCounts][] = [
    ['gpuaas_sessions_admitted_total', 'Sessions of nodes that were let in.', 'admitted'],
    ['gpuaas_sessions_reconnected_total', 'Sessions that were let in of nodes that had one before.', 'reconnected'],
    ['gpuaas_sessions_refused_total', 'Nodes that were turned away.', 'refused'],
    ['gpuaas_session_protocol_errors_total', 'Messages of nodes that made no sense.', 'protocol_errors'],
    ['gpuaas_records_kept_total', 'Records of nodes that were kept, each once.', 'records'],
  ];
  for (const [name, help, key] of counters) {
    new Counter({
      ...{ name, help, registers },
      collect() {
        this.reset();
        this.inc(hub.counters()[key]);
      },
    });
  }
  new Counter({
    ...{ name: 'gpuaas_tasks_ended_total', help: 'Tasks that ended, by how.', labelNames: ['status'], registers },
    collect() {
      this.reset();
      for (const [status, count] of Object.entries(queue.ended())) this.inc({ status }, count);
    },
  });
}

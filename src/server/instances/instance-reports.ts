/** What a node reports about an instance, as the control plane keeps it: members, endpoints, events. */
import type { Endpoint, WorkloadOutput } from '../../contract/workload-output.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Tx } from '../db/store.ts';

interface Report {
  readonly type: string;
  readonly message: string;
  readonly data: Record<string, unknown>;
}

export async function appendReport(tx: Tx, instance: AppInstance, actor: string, time: string, report: Report) {
  await tx.events.append({
    ...{ time, type: report.type, project_id: instance.project_id, actor, correlation_id: instance.trace_id },
    ...{ subject: { kind: 'app_instance', id: instance.id }, data: report.data },
    message: report.message.slice(0, 2000),
  });
}

/** The one container of an instance, as the adapter says it is. */
export function memberOf(
  { members }: AppInstance,
  nodeId: string,
  { state, endpoints, adapter }: WorkloadOutput,
  at: string,
): AppInstance['members'][number] {
  return {
    ...{ name: 'main', node_id: nodeId, state, health: adapter.health, endpoints, status: adapter, reported_at: at },
    restarts: Math.max(adapter.restart_count, state === 'running' ? 0 : (members[0]?.restarts ?? 0)),
  };
}

/** Tells endpoints that the launch published, by name and port, from others. */
export function declaredEndpoints({ host_ports: ports }: AppInstance, endpoints: readonly Endpoint[]) {
  const isDeclared = ({ name, port }: Endpoint) => Object.hasOwn(ports, name) && ports[name] === port;
  return {
    declared: endpoints.filter(isDeclared),
    undeclared: endpoints.filter((endpoint) => !isDeclared(endpoint)),
  };
}

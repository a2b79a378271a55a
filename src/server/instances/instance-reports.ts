/** What a node reports about an instance, as the control plane keeps it: members, endpoints, events. */
import type { Endpoint, WorkloadOutput } from '../../contract/workload-output.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Tx } from '../db/store.ts';

interface Report {
  readonly type: string;
  readonly message: string;
  readonly data: Record<string, unknown>;
}

/** Longest message of an event, in characters. */
const maxMessage = 2000;
/** Most bytes of facts that an event keeps of what a node says. The engine's own words fit, with room to spare. */
const maxFacts = 16 * 1024;

/** Facts in a node's own words, beside ours, which they cannot replace. Too many are left out, and that is said. */
export function factsOf(values: Record<string, unknown>, ours: Record<string, unknown>): Record<string, unknown> {
  const bytes = Buffer.byteLength(JSON.stringify(values));
  return bytes > maxFacts ? { ...ours, left_out_bytes: bytes } : { ...values, ...ours };
}

export function shortMessage(message: string): string {
  return message.slice(0, maxMessage);
}

export async function appendReport(tx: Tx, instance: AppInstance, actor: string, time: string, report: Report) {
  await tx.events.append({
    ...{ time, type: report.type, project_id: instance.project_id, actor, correlation_id: instance.trace_id },
    ...{ subject: { kind: 'app_instance', id: instance.id }, data: report.data },
    message: shortMessage(report.message),
  });
}

/** The one container of an instance, as the adapter says it is; `endpoints` are the declared ones. */
export function memberOf(
  { members, endpoints }: Pick<AppInstance, 'members' | 'endpoints'>,
  nodeId: string,
  { state, adapter }: WorkloadOutput,
  at: string,
): AppInstance['members'][number] {
  return {
    ...{ name: 'main', node_id: nodeId, state, health: adapter.health, endpoints, status: adapter, reported_at: at },
    restarts: Math.max(adapter.restart_count, state === 'running' ? 0 : (members[0]?.restarts ?? 0)),
  };
}

/**
 * Tells endpoints that the launch published, by name and port, from others. Of the declared ones only that they are there is
 * the node's word: people open the address, so it is ours.
 */
export function declaredEndpoints({ host_ports }: AppInstance, reported: readonly Endpoint[]) {
  const isDeclared = ({ name, port }: Endpoint) => Object.hasOwn(host_ports, name) && host_ports[name] === port;
  const declared = new Map(reported.filter(isDeclared).map((endpoint) => [endpoint.name, withOwnUrl(endpoint)]));
  return { declared: [...declared.values()], undeclared: reported.filter((endpoint) => !isDeclared(endpoint)) };
}

function withOwnUrl(endpoint: Endpoint): Endpoint {
  return { ...endpoint, url: endpoint.url === null ? null : `http://127.0.0.1:${endpoint.port}/` };
}

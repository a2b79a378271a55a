/** What a node reports about an instance, as the control plane keeps it: members, endpoints, events. */

import type { Static } from 'typebox';
import type { WorkloadFacts } from '../../contract/records.ts';
import type { Endpoint, StackOutput, WorkloadOutput } from '../../contract/workload-output.ts';
import type { WorkloadState } from '../../contract/workload-state.ts';
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

type Member = AppInstance['members'][number];

/** The containers of an instance, as the adapter says they are; `endpoints` are the declared ones. */
export function membersOf(
  { members, endpoints }: Pick<AppInstance, 'members' | 'endpoints'>,
  node_id: string,
  { state, adapter, topology }: WorkloadOutput | StackOutput,
  reported_at: string,
): Member[] {
  if (adapter.kind === 'oci_container') {
    const restarts = Math.max(adapter.restart_count, state === 'running' ? 0 : (members[0]?.restarts ?? 0));
    return [
      { name: 'main', node_id, state, health: adapter.health, endpoints, status: adapter, reported_at, restarts },
    ];
  }
  const placeOf = (name: string) => members.findIndex((member) => member.name === name);
  const reported = (topology?.services ?? []).map((service): Member => {
    const status = adapter.services.find((each) => each.service === service.name) ?? null;
    const before = members[placeOf(service.name)];
    const own = new Set([...service.endpoints, ...(before?.endpoints ?? []).map(({ name }) => name)]);
    return {
      ...{
        name: service.name,
        node_id,
        state: service.state,
        health: decided(status?.health, service.state),
        status,
        reported_at,
      },
      endpoints: endpoints.filter(({ name }) => own.has(name)),
      restarts: Math.max(status?.restart_count ?? 0, service.state === 'running' ? 0 : (before?.restarts ?? 0)),
    };
  });
  // The launch knew the manifest's order; what comes later may have it from the engine.
  return reported.sort((one, other) => placeOf(one.name) - placeOf(other.name));
}

/** Nobody tells when a check that has just begun passes: until it says something, and while nothing runs, nothing is known. */
function decided(health: string | null | undefined, state: WorkloadState): string | null {
  return state === 'running' && health !== 'starting' ? (health ?? null) : null;
}

/** The members as a look at their host found them. A service that it says nothing of is as it was. */
export function membersSeen(
  members: readonly Member[],
  { state, restarts, services }: Static<typeof WorkloadFacts>,
  reported_at: string,
): Member[] {
  return members.map((member) => {
    const seen = services ? services.find(({ service }) => service === member.name) : { state, restarts };
    if (!seen) return member;
    const health = seen.state === member.state ? member.health : null;
    return { ...member, state: seen.state, restarts: seen.restarts, health, reported_at };
  });
}

/** What all members together are; undefined before anything was reported. */
export function stateOfAll(members: readonly Member[]): WorkloadState | undefined {
  const [first, ...others] = members.map(({ state }) => state);
  return others.every((state) => state === first) ? first : 'degraded';
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

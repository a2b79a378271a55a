/**
 * Updates of single nodes: the task that asks for one, and what is known of it (`update` of the node). Which version a node runs
 * is what it says in its hello, never what became of the task.
 */
import { type UpdatePhase, updatePhases } from '../../contract/agent-self-update.ts';
import { AgentError, type Failure, type FailureCode } from '../../contract/failures.ts';
import type { RecordBody } from '../../contract/records.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import type { Node, NodeUpdate } from '../db/entities/node.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import type { Tx } from '../db/store.ts';
import type { EndedTask } from '../hub/record-sink.ts';
import type { TaskQueue } from '../hub/task-queue.ts';

export interface UpdateWanted {
  readonly version: string;
  readonly urgent: boolean;
  readonly rollout_id: string | null;
}

/** Download over a slow line, drain, and the time on trial. */
const deadlineSeconds = 3 * 3600;

/** True while a task is to update it or does so. */
export function isUpdating({ update }: Node): boolean {
  return update?.state === 'queued' || update?.state === 'running';
}

/** Queues the task. `update.in_progress` where there is one already. */
export async function beginUpdate(
  tx: Tx,
  queue: TaskQueue,
  cause: Cause,
  node: Node,
  { version, urgent, rollout_id }: UpdateWanted,
): Promise<NodeUpdate> {
  if (isUpdating(node)) {
    throw new AgentError('update.in_progress', { reason: `It updates to ${node.update?.version}.` });
  }
  const { id: node_id, allocation_id, agent_version: from } = node;
  const { id: task_id } = await queue.enqueue(tx, {
    ...{ node_id, allocation_id, type: 'agent.self_update', purpose: 'update', trace_id: cause.correlationId },
    params: { version, ...(urgent ? { urgent } : {}) },
    deadline_seconds: deadlineSeconds,
  });
  const since = new Date(cause.now).toISOString();
  const update: NodeUpdate = {
    ...{ state: 'queued', version, from, phase: null, since, failure: null, task_id, rollout_id },
  };
  await keep(tx, cause, node_id, update, `It is to run ${version}.`);
  return update;
}

/** What the node says of the task while it is at work. */
export async function updateProgressed(
  tx: Tx,
  node: Node,
  { task_id, event }: RecordBody<'task.progress'>,
  now: number,
): Promise<void> {
  const { update } = node;
  const phase = phaseOf(event.type);
  if (!update || !phase || update.task_id !== task_id || !isUpdating(node)) return;
  const { bytes: _bytes, bytes_total: _total, ...rest } = update;
  const next: NodeUpdate = { ...rest, state: 'running', phase, ...bytesOf(event.values) };
  if (update.phase === phase) {
    await tx.nodes.put({ ...node, update: next });
    return;
  }
  const since = new Date(now).toISOString();
  const task = await tx.tasks.get(task_id);
  const cause = byNode(node.id, task?.trace_id ?? task_id, now);
  await keep(tx, cause, node.id, { ...next, since }, event.message.slice(0, 500));
}

/** How a task ended is how the update did. Undefined for the task of a node that is gone, or of another update than the last. */
export async function updateEnded(tx: Tx, task: EndedTask, now: number): Promise<NodeUpdate | undefined> {
  const node = await tx.nodes.get(task.node_id);
  if (node?.update?.task_id !== task.id) return undefined;
  const { state, failure } = outcomeOf(task.result);
  const { bytes: _bytes, bytes_total: _total, ...before } = node.update;
  const ends: Partial<Record<NodeUpdate['state'], UpdatePhase>> = {
    committed: 'committed',
    rolled_back: 'rolled_back',
  };
  const phase = ends[state] ?? before.phase;
  const update: NodeUpdate = { ...before, state, phase, failure, since: new Date(now).toISOString() };
  const words = failure ? failure.message : `It runs ${update.version}.`;
  await keep(tx, byNode(node.id, task.trace_id, now), node.id, update, words);
  return update;
}

/** The operator of the host keeps it from that version, or the host is no host for it: no fault of the release. */
const holding: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'update.pinned',
  'update.skipped',
  'update.held',
  'update.older',
  'update.below_floor',
  'update.step_missing',
  'update.no_artifact',
  'update.in_progress',
  'task.unsupported',
]);

export function outcomeOf({ status, failure }: TaskResult): { state: NodeUpdate['state']; failure: Failure | null } {
  if (status === 'succeeded') return { state: 'committed', failure: null };
  const known = failure ?? new AgentError('internal', { reason: `The task ended as ${status}.` }).toFailure();
  if (status === 'cancelled') return { state: 'cancelled', failure: known };
  if (known.code === 'update.rolled_back') return { state: 'rolled_back', failure: known };
  return { state: holding.has(known.code as FailureCode) ? 'held' : 'failed', failure: known };
}

async function keep(tx: Tx, cause: Cause, nodeId: string, update: NodeUpdate, message: string): Promise<void> {
  const node = await tx.nodes.get(nodeId);
  if (!node) return;
  await tx.nodes.put({ ...node, update });
  const { state, version, from, phase, failure, rollout_id } = update;
  await appendEvent(tx, cause, {
    ...{ type: `node.update_${state}`, project_id: null, subject: { kind: 'node', id: nodeId }, message },
    data: { version, from, phase, rollout_id, failure: failure?.code ?? null },
  });
}

function byNode(id: string, correlationId: string, now: number): Cause {
  return { now, correlationId, who: { actor: `node:${id}` } };
}

function phaseOf(type: string): UpdatePhase | undefined {
  return updatePhases.find((phase) => type === `update.${phase}`);
}

function bytesOf(values: Readonly<Record<string, unknown>>): Pick<NodeUpdate, 'bytes' | 'bytes_total'> {
  const { bytes, bytes_total } = values;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  return isCount(bytes) && isCount(bytes_total) ? { bytes, bytes_total } : {};
}

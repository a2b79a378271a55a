/** A task that somebody on the host asked for: `{type, params}`, put into the envelope that a control plane would sign. */
import { TaskEnvelope } from '../contract/task-envelope.ts';
import { isTaskType, type TaskParams, type TaskType, taskSchemas, workloadOf } from '../contract/tasks.ts';
import { judge } from '../contract/validate.ts';
import type { HostPolicy } from '../policy/host-policy.ts';

export interface BareTask {
  readonly type?: unknown;
  readonly params?: unknown;
}

export function isBare(document: unknown): document is BareTask {
  return typeof document === 'object' && document !== null && !Array.isArray(document) && !('task_id' in document);
}

/** True for a task that somebody on this host asked for: those of the control plane can be followed there. */
export function isOfHost({ trace_id }: Pick<TaskEnvelope, 'trace_id'>): boolean {
  return trace_id === '';
}

export interface Filling {
  readonly policy: HostPolicy;
  readonly taskId: string;
  /** For a workload that the params name; they are valid then. */
  readonly fencing: (workloadId: string) => number | Promise<number>;
}

const daySeconds = 24 * 3600;

/** What the document says goes before what is filled in; the dispatcher refuses what it does not know. */
export async function envelopeOf(document: BareTask, { policy, taskId, fencing }: Filling): Promise<unknown> {
  const { type } = document;
  const workloadId = workloadNamed(document);
  return {
    ...{
      task_id: taskId,
      schema_version: typeof type === 'string' && isTaskType(type) ? taskSchemas[type].version : 1,
    },
    ...{ node_id: policy.node_id, allocation_id: policy.allocation.id, workload_id: workloadId ?? 'host', attempt: 1 },
    fencing: workloadId === undefined ? 0 : await fencing(workloadId),
    deadline_seconds: daySeconds,
    issued_at: new Date().toISOString(),
    not_after: new Date(Date.now() + daySeconds * 1000).toISOString(),
    trace_id: '',
    ...document,
  };
}

/** The workload of params that are valid; others are the dispatcher's to refuse, with nothing asked of the engine. */
function workloadNamed({ type, params }: BareTask): string | undefined {
  if (typeof type !== 'string' || !isTaskType(type)) {
    return undefined;
  }
  const judged = judge(taskSchemas[type].params, params);
  return judged.ok ? workloadOf(judged.value as TaskParams<TaskType>) : undefined;
}

/**
 * False for a task that only looks, and for one that the dispatcher will refuse whatever the host is like. Neither needs
 * to wait until another process has ended.
 */
export function changesHost(document: unknown): boolean {
  if (!isBare(document) && !judge(TaskEnvelope, document).ok) {
    return false;
  }
  const { type, params } = document as BareTask;
  return (
    typeof type === 'string' &&
    isTaskType(type) &&
    taskSchemas[type].mutates &&
    judge(taskSchemas[type].params, params).ok
  );
}

/**
 * What a task makes of its workload, from the agent's point of view: the row that supervision goes by afterwards. Pure.
 */
import type { Identity } from '../contract/identifiers.ts';
import type { LiveTopology } from '../contract/stack-topology.ts';
import type { TaskEnvelope, TaskResult } from '../contract/task-envelope.ts';
import type { TaskParams } from '../contract/tasks.ts';
import type { StackOutput, WorkloadOutput } from '../contract/workload-output.ts';
import type { KeptStack, KeptTask, KeptWorkload, WorkloadChange } from './journal/journal.ts';

/** Undefined where the task changes nothing that supervision knows. */
export function changeBy(
  envelope: TaskEnvelope,
  result: TaskResult,
  before: KeptWorkload | undefined,
): WorkloadChange | undefined {
  const { type, workload_id } = envelope;
  const done = result.status === 'succeeded';
  switch (type) {
    case 'workload.oci_launch':
    case 'workload.compose_launch':
      if (done) {
        return { workload_id, keep: launched(envelope, result) };
      }
      return wasUndone(result) ? { workload_id, keep: null } : undefined;
    case 'workload.oci_control':
    case 'workload.compose_control':
      return before && wasTried(result) ? { workload_id, keep: controlled(envelope, result, before) } : undefined;
    case 'workload.oci_remove':
    case 'workload.compose_remove':
      return done ? { workload_id, keep: null } : undefined;
    default:
      return undefined;
  }
}

function launched(envelope: TaskEnvelope, result: TaskResult): KeptWorkload {
  const { project_id, allocation_id } = (envelope.params as { readonly identity: Identity }).identity;
  const { state, endpoints, topology } = result.output as WorkloadOutput | StackOutput;
  const params = topology ? null : (envelope.params as TaskParams<'workload.oci_launch'>);
  const stack = topology && {
    params: envelope.params as TaskParams<'workload.compose_launch'>,
    services: topology.services.map(({ name, state: of }) => ({
      ...{ service: name, state: of, since: result.finished_at, restarts: 0, streak: 0 },
    })),
  };
  return {
    ...{ workload_id: envelope.workload_id, project_id, allocation_id, task_id: envelope.task_id },
    ...{ fencing: envelope.fencing, params, desired: 'running', state, since: result.finished_at, endpoints },
    ...{ restarts: 0, streak: 0, ...(stack && { stack }) },
  };
}

/** True also for an action that failed on the way: it was asked for, and the workload is what it left. */
function wasTried({ status, output }: TaskResult): boolean {
  return status !== 'rejected' && output !== null;
}

/** What the result says, which is what the control plane goes by; what nobody could see is as it was. */
function controlled({ params, fencing }: TaskEnvelope, result: TaskResult, before: KeptWorkload): KeptWorkload {
  const { action } = params as TaskParams<'workload.oci_control' | 'workload.compose_control'>;
  const { state, topology } = result.output as WorkloadOutput | StackOutput;
  const seen =
    result.status !== 'succeeded' && (state === 'unknown' || state === before.state)
      ? { state: before.state, since: before.since }
      : { state, since: result.finished_at };
  const desired = action === 'stop' ? 'stopped' : 'running';
  const stack = before.stack && topology ? { stack: stackAfter(before.stack, topology, result.finished_at) } : {};
  // What is the matter with its cards is looked at anew: another start may have them back.
  const cards = before.sick_gpus ? { sick_gpus: [] } : {};
  return { ...before, ...seen, ...stack, ...cards, fencing, desired, streak: 0 };
}

/** Each service as the result says it is; one that nobody could see is as it was. */
function stackAfter(before: KeptStack, { services }: LiveTopology, at: string): KeptStack {
  return {
    ...before,
    services: before.services.map((kept) => {
      const now = services.find(({ name }) => name === kept.service)?.state ?? 'unknown';
      const changed = now !== 'unknown' && now !== kept.state;
      return { ...kept, streak: 0, ...(changed ? { state: now, since: at } : {}) };
    }),
  };
}

/** A launch that failed and had made, replaced or started something: nothing of the workload is left, or should be. */
function wasUndone({ output }: TaskResult): boolean {
  const cleanup = (output as WorkloadOutput | StackOutput | null)?.cleanup;
  return cleanup ? !cleanup.kept.some((what) => what.startsWith('container ')) : false;
}

/**
 * True if the newest task that did something to the workload left nothing of it: a container of that task's fencing or
 * an older one must not be there. `tasks` of one workload, newest first. Without proof it is false: a container is never
 * taken away because little is known of it.
 */
export function leftNothing(tasks: readonly KeptTask[], containerFencing: number): boolean {
  for (const { envelope, result } of tasks) {
    if (result === null) {
      return false;
    }
    if (result.status !== 'rejected' && changing.has(envelope.type)) {
      const change = changeBy(envelope, result, undefined);
      return change?.keep === null && envelope.fencing >= containerFencing;
    }
  }
  return false;
}

const actions = ['launch', 'control', 'remove'];
const changing: ReadonlySet<string> = new Set(
  actions.flatMap((action) => [`workload.oci_${action}`, `workload.compose_${action}`]),
);

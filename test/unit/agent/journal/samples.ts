/** Things that a journal keeps. */
import type { KeptWorkload } from '../../../../src/agent/journal/journal.ts';
import type { RecordBody } from '../../../../src/contract/records.ts';
import type { TaskEnvelope, TaskResult } from '../../../../src/contract/task-envelope.ts';
import { fixtureParams } from '../../contract/samples.ts';

/** Within the validity of every sample task. */
export const now = Date.parse('2026-11-25T12:00:00Z');
export const fenced = { now, fenced: true } as const;

export function launchTask(changes: Partial<TaskEnvelope> = {}): TaskEnvelope {
  return {
    task_id: 'task-1',
    type: 'workload.oci_launch',
    schema_version: 1,
    node_id: 'node-1',
    allocation_id: 'alloc-1',
    workload_id: 'instance-1',
    attempt: 1,
    fencing: 1,
    deadline_seconds: 600,
    issued_at: '2026-11-25T11:59:59Z',
    not_after: '2026-11-25T12:10:00Z',
    trace_id: 'trace-1',
    params: fixtureParams('workload.oci_launch'),
    ...changes,
  };
}

export function succeeded(taskId = 'task-1', output: unknown = null): TaskResult {
  return {
    ...{ task_id: taskId, status: 'succeeded', output, failure: null },
    ...{ started_at: '2026-11-25T12:00:01Z', finished_at: '2026-11-25T12:00:02Z' },
  };
}

export function runningWorkload(changes: Partial<KeptWorkload> = {}): KeptWorkload {
  return {
    ...{ workload_id: 'instance-1', project_id: 'project-1', allocation_id: 'alloc-1', task_id: 'task-1', fencing: 1 },
    ...{ params: fixtureParams('workload.oci_launch'), desired: 'running', state: 'running' },
    ...{ since: '2026-11-25T12:00:02.000Z', endpoints: [], restarts: 0, streak: 0 },
    ...changes,
  };
}

export function exitEvent(workloadId: string | null, message = 'The container exited.'): RecordBody<'event'> {
  const event = { time: '2026-11-25T12:00:03Z', type: 'container.exited', phase: null, message, values: {} };
  return { workload_id: workloadId, source: 'supervisor', event, state: null, failure: null };
}

export function progress(message: string): RecordBody<'task.progress'> {
  const event = { time: '2026-11-25T12:00:01Z', type: 'image.progress', phase: null, message, values: {} };
  return { workload_id: 'instance-1', task_id: 'task-1', event };
}

export function topology(at: string): RecordBody<'topology'> {
  return { at, workloads: [] };
}

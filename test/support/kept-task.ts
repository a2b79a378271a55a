/** A task as the journal keeps it: a launch of `notebook-1`, changed by `over`. */
import type { KeptTask } from '../../src/agent/journal/journal.ts';
import type { Failure } from '../../src/contract/failures.ts';
import type { TaskEnvelope, TaskResult } from '../../src/contract/task-envelope.ts';
import { launchParams } from './task-bench.ts';

interface Over {
  readonly envelope?: Partial<TaskEnvelope>;
  readonly phases?: KeptTask['phases'];
  readonly cancelled?: boolean;
  /** With a failure the task has failed; without, it is at work, unless `result` says otherwise. */
  readonly failure?: Failure;
  readonly result?: Partial<TaskResult>;
}

export function keptTask({ envelope, phases = [], cancelled = false, failure, result }: Over = {}): KeptTask {
  const whole: TaskEnvelope = {
    ...{ task_id: 'task-1', type: 'workload.oci_launch', schema_version: 1, node_id: 'node-1' },
    ...{ allocation_id: 'alloc-1', workload_id: 'notebook-1', attempt: 1, fencing: 7, deadline_seconds: 600 },
    ...{ issued_at: '2026-11-25T09:59:59.000Z', not_after: '2026-11-25T11:00:00.000Z', trace_id: 'trace-1' },
    params: launchParams(),
    ...envelope,
  };
  const ended = failure !== undefined || result !== undefined;
  return {
    ...{ envelope: whole, accepted_at: '2026-11-25T10:00:00.000Z', phases, cancelled },
    result: ended
      ? {
          ...{ task_id: whole.task_id, status: failure ? 'failed' : 'succeeded', output: null },
          ...{ failure: failure ?? null, started_at: '2026-11-25T10:00:00.000Z' },
          finished_at: '2026-11-25T10:00:09.000Z',
          ...result,
        }
      : null,
  };
}

/** The part of a journal that supervision needs, in memory, with everything that was said. */

import type { Journal, KeptTask, KeptWorkload } from '../../src/agent/journal/journal.ts';
import type { RecordBody } from '../../src/contract/records.ts';
import type { TaskEnvelope, TaskResult } from '../../src/contract/task-envelope.ts';
import type { WorkloadComposeLaunchParams } from '../../src/contract/workload-compose-launch.ts';
import { memoryRecords } from '../../src/jobs/memory-records.ts';
import { stackParams } from './stack-bench.ts';
import { launchParams } from './task-bench.ts';

export interface KeptWorkloads {
  readonly journal: Pick<
    Journal,
    'workloads' | 'workload' | 'keepWorkload' | 'tasks' | 'raiseFencing' | 'append' | 'jobs'
  >;
  readonly rows: Map<string, KeptWorkload>;
  readonly fencings: Map<string, number>;
  /** Newest first. */
  readonly tasks: KeptTask[];
  readonly events: RecordBody<'event'>[];
  /** Type of each event, with the state it brought. */
  said(): string[];
}

export function keptWorkloads(...rows: KeptWorkload[]): KeptWorkloads {
  const kept = new Map(rows.map((row) => [row.workload_id, row]));
  const fencings = new Map(rows.map((row) => [row.workload_id, row.fencing]));
  const tasks: KeptTask[] = [];
  const events: RecordBody<'event'>[] = [];
  return {
    journal: {
      workloads: () => [...kept.values()],
      workload: (id) => kept.get(id),
      keepWorkload: (row, event) => {
        kept.set(row.workload_id, row);
        if (event) {
          events.push(event);
        }
      },
      tasks: ({ workload_id }) => tasks.filter(({ envelope }) => envelope.workload_id === workload_id),
      raiseFencing: (id, fencing) => void fencings.set(id, Math.max(fencing, fencings.get(id) ?? 0)),
      jobs: memoryRecords(),
      append: (kind, body) => {
        if (kind === 'event') {
          events.push(body as RecordBody<'event'>);
        }
      },
    },
    ...{ rows: kept, fencings, tasks },
    events,
    said: () => events.map(({ event, state }) => [event.type, ...(state === null ? [] : [state])].join(' ')),
  };
}

/** The row of a workload that was launched from `launchParams` and runs. */
export function keptWorkload(over: Partial<KeptWorkload> = {}): KeptWorkload {
  return {
    ...{ workload_id: 'notebook-1', project_id: 'project-7', allocation_id: 'alloc-1', task_id: 'task-0', fencing: 1 },
    ...{ params: launchParams({ readiness: [{ type: 'exec', command: ['true'], timeout_seconds: 5 }] }) },
    ...{ desired: 'running', state: 'running', since: '2026-11-25T11:00:00.000Z', endpoints: [] },
    ...{ restarts: 0, streak: 0 },
    ...over,
  };
}

/** The row of a stack that was launched from `stackParams` and runs. */
export function keptStack(
  over: Partial<KeptWorkload> = {},
  params: WorkloadComposeLaunchParams | null = stackParams(),
): KeptWorkload {
  const { since, restarts, streak } = keptWorkload();
  const service = (name: string) => ({ service: name, state: 'running' as const, since, restarts, streak });
  const kept = { params: null, stack: { params, services: ['web', 'db'].map(service) } };
  return keptWorkload({ workload_id: 'stack-1', ...kept, ...over });
}

/** A task that ended, as the journal has it. */
export function endedTask(envelope: Partial<TaskEnvelope>, result: Partial<TaskResult> = {}): KeptTask {
  const task_id = envelope.task_id ?? 'task-1';
  const time = '2026-11-25T11:00:00.000Z';
  return {
    envelope: {
      ...{ task_id, type: 'workload.oci_remove', schema_version: 1, node_id: 'node-1', allocation_id: 'alloc-1' },
      ...{ workload_id: 'notebook-1', attempt: 1, fencing: 1, deadline_seconds: 60, issued_at: time },
      ...{ not_after: '2026-11-26T00:00:00Z', trace_id: '', params: {} },
      ...envelope,
    },
    ...{ accepted_at: time, phases: [], cancelled: false },
    result: {
      ...{ task_id, status: 'succeeded', output: null, failure: null, started_at: time, finished_at: time },
      ...result,
    },
  };
}

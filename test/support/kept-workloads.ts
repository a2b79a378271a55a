/** The part of a journal that supervision needs, in memory, with everything that was said. */
import type { Journal, KeptWorkload } from '../../src/agent/journal/journal.ts';
import type { RecordBody } from '../../src/contract/records.ts';
import { launchParams } from './task-bench.ts';

export interface KeptWorkloads {
  readonly journal: Pick<
    Journal,
    'workloads' | 'workload' | 'keepWorkload' | 'forgetWorkload' | 'fencing' | 'raiseFencing' | 'append'
  >;
  readonly rows: Map<string, KeptWorkload>;
  readonly fencings: Map<string, number>;
  readonly events: RecordBody<'event'>[];
  /** Type of each event, with the state it brought. */
  said(): string[];
}

export function keptWorkloads(...rows: KeptWorkload[]): KeptWorkloads {
  const kept = new Map(rows.map((row) => [row.workload_id, row]));
  const fencings = new Map(rows.map((row) => [row.workload_id, row.fencing]));
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
      forgetWorkload: (id) => void kept.delete(id),
      fencing: (id) => fencings.get(id) ?? 0,
      raiseFencing: (id, fencing) => void fencings.set(id, Math.max(fencing, fencings.get(id) ?? 0)),
      append: (kind, body) => {
        if (kind === 'event') {
          events.push(body as RecordBody<'event'>);
        }
        return events.length;
      },
    },
    rows: kept,
    fencings,
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

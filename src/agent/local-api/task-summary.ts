/** A task of the journal as `node-agent tasks` lists it. */
import type { KeptTask } from '../journal/journal.ts';
import type { TaskSummary } from './agent-status.ts';

export function summaryOf({ envelope, accepted_at, phases, result }: KeptTask): TaskSummary {
  const { task_id, type, workload_id, fencing, trace_id } = envelope;
  const phase = phases.at(-1)?.phase ?? null;
  return {
    ...{ task_id, type, workload_id, fencing, trace_id, phase, accepted_at },
    // A task that has entered no phase may wait for its turn, or be one that has none.
    state: result?.status ?? (phase === null ? 'waiting' : 'running'),
    failure_code: result?.failure?.code ?? null,
    ended_at: result?.finished_at ?? null,
  };
}

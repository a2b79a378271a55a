/** What the agent shows of itself: to `node-agent status`, to `/metrics` and to the health endpoints. */
import { type Static, Type } from 'typebox';
import { Gpu } from '../../contract/gpus.ts';
import { WorkloadFacts } from '../../contract/records.ts';
import { drainers } from '../drain-state.ts';

const closed = { additionalProperties: false } as const;
const time = (description: string) => Type.String({ maxLength: 40, description: `${description} RFC 3339 in UTC.` });
const reason = (description: string) => Type.Union([Type.String(), Type.Null()], { description });

export const SessionStatus = Type.Object(
  {
    state: Type.Enum(['unconfigured', 'connecting', 'connected', 'waiting', 'refused'], {
      description:
        'unconfigured: no control plane is set. waiting: until the next attempt. refused: by the control plane, and a person has to do something.',
    }),
    url: Type.Union([Type.String(), Type.Null()], { description: 'Control plane; null where none is configured.' }),
    since: time('Since when there is a session, or none.'),
    epoch: Type.Integer({ minimum: 0, description: 'Epoch of the last session; 0 before the first.' }),
    connects: Type.Integer({ minimum: 0, description: 'Sessions since the agent started.' }),
    protocol_errors: Type.Integer({ minimum: 0, description: 'Messages nobody understood, since the agent started.' }),
    reason: reason('Why there is no session, in words; null while there is one.'),
  },
  { ...closed, description: 'Connection to the control plane.' },
);
export type SessionStatus = Static<typeof SessionStatus>;

export const AgentStatus = Type.Object(
  {
    version: Type.String({ description: 'Version of the agent.' }),
    pid: Type.Integer({ description: 'Process of the daemon.' }),
    node_id: Type.String({ description: 'Name of this host.' }),
    allocation_id: Type.String({ description: 'Allocation that this host serves.' }),
    started_at: time('When the daemon started.'),
    draining: Type.Boolean({ description: 'True if no new work is taken.' }),
    drained_by: Type.Array(Type.Enum([...drainers]), {
      description: 'Whoever wants it to drain, and has to end that: somebody on this host, the control plane.',
    }),
    session: SessionStatus,
    engine: Type.Object(
      {
        state: Type.Enum(['ready', 'away', 'unknown'], { description: 'unknown: nobody has asked it yet.' }),
        since: time('Since when it is in this state.'),
        reason: reason('Why it is away; null while it is not.'),
      },
      { ...closed, description: 'The engine, through the gate.' },
    ),
    journal: Type.Object(
      {
        journal_id: Type.String({ description: 'Name of the journal; another one after it was rebuilt.' }),
        outbox: Type.Integer({ minimum: 0, description: 'Records that wait to be acknowledged.' }),
        failure: reason('Why nothing can be written down; null while it can. New tasks are refused then.'),
      },
      { ...closed, description: 'What the agent has written down.' },
    ),
    tasks: Type.Object(
      {
        running: Type.Integer({ minimum: 0, description: 'Tasks at work.' }),
        waiting: Type.Integer({ minimum: 0, description: 'Accepted tasks that wait for their turn.' }),
        parallel: Type.Integer({ minimum: 1, description: 'Most tasks that are at work at once.' }),
      },
      { ...closed, description: 'Tasks of now; `node-agent tasks` lists them.' },
    ),
    workloads: Type.Array(WorkloadFacts, { description: 'Workloads of ours on the host.' }),
  },
  { ...closed, description: 'Snapshot of the agent. Taking it asks nobody and waits for nothing.' },
);
export type AgentStatus = Static<typeof AgentStatus>;

export const TaskSummary = Type.Object(
  {
    task_id: Type.String({ description: 'The task.' }),
    type: Type.String({ description: 'Task type.' }),
    workload_id: Type.String({ description: 'The workload it is about.' }),
    fencing: Type.Integer({ description: 'Its fencing number.' }),
    trace_id: Type.String({ description: 'Follows the request through all parts; empty for a task of run-task.' }),
    state: Type.Enum(['waiting', 'running', 'succeeded', 'failed', 'cancelled', 'rejected'], {
      description: 'Where the task is, or how it ended.',
    }),
    phase: Type.Union([Type.String(), Type.Null()], { description: 'Last phase that it entered; null before that.' }),
    failure_code: Type.Union([Type.String(), Type.Null()], { description: 'Why it did not succeed; null if it did.' }),
    accepted_at: time('When the agent took it.'),
    ended_at: Type.Union([Type.String(), Type.Null()], { description: 'When it ended; null before that.' }),
  },
  { ...closed, description: 'A task that the journal knows.' },
);
export type TaskSummary = Static<typeof TaskSummary>;

export const HostCards = Type.Object(
  {
    gpus: Type.Array(Gpu, { description: 'Cards that were seen and not given up, with who holds them.' }),
    hears_kernel: Type.Boolean({
      description: "False where the kernel's log cannot be read: what it says of a card (Xid) goes unheard.",
    }),
  },
  { ...closed, description: 'The cards of the host, as the daemon knows them.' },
);
export type HostCards = Static<typeof HostCards>;

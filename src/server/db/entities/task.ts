/**
 * Tasks for nodes.
 *
 *   queued ─▶ leased ─▶ accepted ─▶ ended
 *      ▲─────────┘ (lease ran out, attempt + 1)
 *   Any of them may become ended: cancelled before it was sent, refused, expired, or its result arrived late.
 */
import { type Static, Type } from 'typebox';
import { TaskEnvelope, TaskResult } from '../../../contract/task-envelope.ts';
import { closed, id, nullable, time } from './fields.ts';

const { type, schema_version, attempt, fencing, deadline_seconds, issued_at, not_after, trace_id, params } =
  TaskEnvelope.properties;

const Lease = Type.Object(
  { id: id('Name of the delivery.'), since: time('When it was sent.') },
  { ...closed, description: 'A delivery that was not answered yet.' },
);

export const Task = Type.Object(
  {
    id: id('The task: `task_id` of its envelope.'),
    node_id: id('Node that shall carry it out.'),
    allocation_id: id('Allocation that it touches.'),
    project_id: nullable(id('The project.'), 'Project it is for; null for tasks of the platform.'),
    workload_id: id('Workload that it is about.'),
    instance_id: nullable(id('The instance.'), 'App instance it is for; null for tasks of the platform.'),
    ...{ type, schema_version, attempt, fencing, deadline_seconds, issued_at, not_after, trace_id, params },
    purpose: Type.Enum(
      [
        'preflight',
        'launch',
        'stop',
        'start',
        'restart',
        'decommission',
        'drain',
        'wipe',
        'update',
        'diagnose',
        'rotate_keys',
        'job',
        'job_cancel',
        'job_remove',
      ],
      {
        description: 'What it is for.',
      },
    ),
    state: Type.Enum(['queued', 'leased', 'accepted', 'ended'], {
      description: 'accepted: the node has it on disk. ended: there is a result.',
    }),
    lease: nullable(Lease, 'The open delivery; null if there is none.'),
    cancel_requested: Type.Boolean({ description: 'True if it shall be given up.' }),
    result: nullable(TaskResult, 'How it ended; null until then.'),
    created_at: time('When it was queued.'),
    ended_at: nullable(time('When.'), 'When its result was kept; null until then.'),
  },
  { ...closed, description: 'A task in the queue of its node.' },
);
export type Task = Static<typeof Task>;

export const WorkloadFencing = Type.Object(
  {
    id: id('The workload.'),
    fencing: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Highest that was handed out.',
    }),
  },
  { ...closed, description: 'Outlives the tasks, so that no number is ever handed out twice.' },
);
export type WorkloadFencing = Static<typeof WorkloadFencing>;

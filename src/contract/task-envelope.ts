/** The envelope that a task travels in, and the result that answers it. */
import { type Static, Type } from 'typebox';
import { Failure } from './failures.ts';
import { identifierPattern } from './identifiers.ts';

/** RFC 3339 in UTC. */
const time = (description: string) =>
  Type.String({
    pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?Z$',
    description: `${description} RFC 3339 in UTC.`,
  });

export const TaskEnvelope = Type.Object(
  {
    task_id: Type.String({ pattern: identifierPattern, description: 'Unique for ever; the key for delivering twice.' }),
    type: Type.String({ maxLength: 128, description: 'Task type, for example `workload.oci_launch`.' }),
    schema_version: Type.Integer({ minimum: 1, description: 'Version of the params schema of that type.' }),
    node_id: Type.String({ pattern: identifierPattern, description: 'The only node that may carry it out.' }),
    allocation_id: Type.String({ pattern: identifierPattern, description: 'The only allocation it may touch.' }),
    workload_id: Type.String({
      pattern: identifierPattern,
      description: 'The workload it is about: the app_instance_id or job_id of its params.',
    }),
    attempt: Type.Integer({ minimum: 1, description: 'How often this task was handed out.' }),
    fencing: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Strictly increasing with every task of one workload; a lower one than seen is stale.',
    }),
    deadline_seconds: Type.Integer({
      minimum: 1,
      maximum: 2_678_400,
      description: 'Seconds from receipt until it is given up.',
    }),
    issued_at: time('When the control plane issued it.'),
    not_after: time('The last moment at which it may be begun.'),
    trace_id: Type.String({
      maxLength: 64,
      pattern: '^[a-zA-Z0-9-]*$',
      description: 'Follows the request through all parts.',
    }),
    params: Type.Unknown({ description: 'Parameters; judged by the schema of the type.' }),
  },
  { additionalProperties: false, description: 'A task as the control plane signs it.' },
);
export type TaskEnvelope = Static<typeof TaskEnvelope>;

export const TaskResult = Type.Object(
  {
    task_id: Type.String({ description: 'The task this answers.' }),
    status: Type.Enum(['succeeded', 'failed', 'cancelled', 'rejected'], {
      description: 'rejected: refused before anything was done. failed: begun, and undone where it had to be.',
    }),
    output: Type.Unknown({ description: 'Output by the schema of the type; null if there is none.' }),
    failure: Type.Union([Failure, Type.Null()], { description: 'Why it did not succeed; null if it did.' }),
    started_at: time('When the agent began with it.'),
    finished_at: time('When it had ended, clean-up included.'),
  },
  { additionalProperties: false, description: 'How a task ended. Exactly one per task.' },
);
export type TaskResult = Static<typeof TaskResult>;

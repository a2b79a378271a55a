/** What `node-agent explain` answers: one causal timeline, why it is as it is, and what to do next. */
import { type Static, Type } from 'typebox';
import { Failure } from '../../contract/failures.ts';

const closed = { additionalProperties: false } as const;
const text = (description: string) => Type.String({ description });
const orNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description });

export const explanationSources = ['request', 'agent', 'supervisor', 'engine', 'kernel', 'gate', 'host'] as const;

export const TimelineEntry = Type.Object(
  {
    time: text("RFC 3339 in UTC; the engine's or the kernel's own time where they reported it."),
    source: Type.Enum([...explanationSources], { description: 'Who says so.' }),
    task_id: orNull('Task it belongs to; null for what happened outside of one.'),
    level: Type.Enum(['info', 'warn', 'error'], { description: 'How bad it is.' }),
    title: text('What happened, in one sentence.'),
    details: Type.Array(Type.String(), { description: 'Facts of it, one a line.' }),
    duration_ms: Type.Union([Type.Number({ minimum: 0 }), Type.Null()], {
      description: 'How long it took; null for a moment, and for what has not ended.',
    }),
  },
  { ...closed, description: 'Something that happened.' },
);
export type TimelineEntry = Static<typeof TimelineEntry>;

export const Explanation = Type.Object(
  {
    subject: Type.Object(
      {
        kind: Type.Enum(['instance', 'job', 'task'], { description: 'What was asked about.' }),
        id: text('Its app_instance_id, job_id or task_id.'),
        name: orNull('Name that people gave it; null where nobody remembers.'),
      },
      { ...closed, description: 'What is explained.' },
    ),
    at: text('When it was looked at.'),
    state: text('State now: of the workload, of the job, or of the task. `unknown` where nobody can tell.'),
    summary: text('What is the matter, in one or two sentences.'),
    failure: Type.Union([Failure, Type.Null()], {
      description: 'Why it is not as asked; null where nothing is wrong.',
    }),
    kernel: Type.Object(
      {
        read: Type.Boolean({
          description: 'True if the kernel log was read; it wants root, which a daemon often is not.',
        }),
        containers: Type.Array(Type.String(), { description: 'Ids of the containers that its lines would be about.' }),
        since: text('Before that, nothing of the graphics cards is told, nor of a task.'),
        until: orNull('After that, nothing is told; null where it goes on.'),
      },
      { ...closed, description: 'What of the kernel log belongs to it, so that a caller may add it who can read it.' },
    ),
    timeline: Type.Array(TimelineEntry, { description: 'What led here, oldest first.' }),
    notes: Type.Array(Type.String(), { description: 'What could not be consulted or is not told in full, and why.' }),
    next: text('What to do next.'),
  },
  { ...closed, description: 'Why an instance, a job or a task is as it is.' },
);
export type Explanation = Static<typeof Explanation>;

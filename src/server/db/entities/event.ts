/** What happened, in the order in which it was committed. */
import { type Static, Type } from 'typebox';
import { closed, id, nullable, text, time } from './fields.ts';

export const subjectKinds = [
  'project',
  'api_token',
  'allocation',
  'node',
  'artifact',
  'app',
  'app_version',
  'app_instance',
  'task_key',
  'environment',
  'access_credential',
  'service_account',
  'release',
  'rollout',
  'job',
  'push',
  'revision',
] as const;

/** In place of a project: what everybody may see happens where everybody hears of it. No project has this id. */
export const everyProject = 'every';

export const Event = Type.Object(
  {
    seq: Type.Integer({ minimum: 1, description: 'Number of the event: its cursor.' }),
    time: time('When it happened.'),
    type: Type.String({
      pattern: '^[a-z]+(\\.[a-z_]+){1,3}$',
      maxLength: 64,
      description: 'For example `apps.instance.running` or `artifact.promoted`.',
    }),
    project_id: nullable(id('The project.'), 'Project that may see it; `every` for each, null for the platform alone.'),
    subject: Type.Object(
      { kind: Type.Enum([...subjectKinds], { description: 'What sort of thing.' }), id: id('Which one.') },
      { ...closed, description: 'What it is about.' },
    ),
    actor: text(128, 'Who did it: `token:<id>`, `node:<id>` or `system`.'),
    correlation_id: nullable(text(64, 'The request.'), 'Request or trace that led to it; null where there was none.'),
    message: text(2000, 'One sentence for a person.'),
    data: Type.Record(Type.String(), Type.Unknown(), { description: 'Facts of the event. Never a secret.' }),
  },
  { ...closed, description: 'Something that happened.' },
);
export type Event = Static<typeof Event>;

/** The store gives it its number. */
export type NewEvent = Omit<Event, 'seq'>;

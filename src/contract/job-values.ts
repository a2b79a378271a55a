/**
 * Values of a job that may be known only while it runs: texts with typed references in them. Whoever renders a plan has taken
 * them out of a foreign syntax; on the host nothing is ever parsed for them.
 */
import { type Static, Type } from 'typebox';
import { serviceNamePattern } from './compose-document.ts';
import { taggedUnion } from './tagged-union.ts';
import { EnvName } from './workload-oci-launch.ts';

const closed = { additionalProperties: false } as const;

/** Of the same form as the name of a service: it is a host name on the network of the job, and part of the container's name. */
export const StepId = Type.String({
  pattern: serviceNamePattern,
  description: 'Name of a step within its job: at most 32 lower-case letters, digits and dashes.',
});

export const Reference = taggedUnion(
  'ref',
  [
    Type.Object(
      {
        ref: Type.Literal('step_result', { description: 'What a step has brought out, by one of its `results`.' }),
        step: StepId,
        name: Type.String({ minLength: 1, maxLength: 128, description: 'Name of the result.' }),
        path: Type.Optional(
          Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
            maxItems: 16,
            description: 'Keys and indexes into a result that is JSON.',
          }),
        ),
      },
      { ...closed, description: 'A result of a step that ran before.' },
    ),
    Type.Object(
      {
        ref: Type.Literal('step_host', { description: 'The name by which other steps of the job reach a step.' }),
        step: StepId,
      },
      { ...closed, description: 'A step on the network of the job.' },
    ),
    Type.Object(
      {
        ref: Type.Literal('step_endpoint', { description: 'Where a published port of a step answers on the host.' }),
        step: StepId,
        port: Type.Integer({ minimum: 1, maximum: 65535, description: 'The port that the step listens on.' }),
      },
      { ...closed, description: 'An endpoint of a step, as `127.0.0.1:<port of the host>`.' },
    ),
    Type.Object(
      {
        ref: Type.Literal('service_state', {
          description:
            '`ready`; `ended` for one that has done its work; `starting` for one that is begun again just then.',
        }),
        service: StepId,
      },
      { ...closed, description: 'How a service of the plan stands when the container that is told of it is made.' },
    ),
    Type.Object(
      {
        ref: Type.Literal('job', { description: 'Something about the job itself.' }),
        name: Type.Enum(['id', 'host', 'project'], {
          description: 'Id of the job, id of the node that runs it, id of its project.',
        }),
      },
      { ...closed, description: 'A fact of the job.' },
    ),
  ],
  'A value that is known only while the job runs.',
);
export type Reference = Static<typeof Reference>;

const PlainText = Type.String({ maxLength: 32_768, pattern: '^[^\\u0000]*$', description: 'Text as it stands.' });

const Joined = Type.Object(
  {
    join: Type.Array(Type.Union([PlainText, Reference]), {
      minItems: 1,
      maxItems: 64,
      description: 'Pieces that become one text. The entries of a list among them are separated by single spaces.',
    }),
  },
  { ...closed, description: 'Text of pieces, some of which are known only while the job runs.' },
);

export const TextValue = Type.Union([PlainText, Joined], { description: 'A text, or the pieces of one.' });
export type TextValue = Static<typeof TextValue>;

const Spread = Type.Object(
  {
    spread: Reference,
    chunked: Type.Boolean({
      description:
        'True where the value is JSON in pieces, a list of texts that are put together before they are read.',
    }),
  },
  { ...closed, description: 'A JSON list whose entries stand in place of this one.' },
);

export const ListValue = Type.Object(
  {
    items: Type.Array(Type.Union([PlainText, Joined, Reference, Spread]), {
      maxItems: 1024,
      description: 'Entries in their order; those of a reference that is a list take its place.',
    }),
    omit_if_empty: Type.Boolean({
      description: 'True where a list that turns out empty counts as not given, instead of as an empty one.',
    }),
  },
  { ...closed, description: 'A list of texts, such as an argument vector. No shell reads it.' },
);
export type ListValue = Static<typeof ListValue>;

export const EnvValue = Type.Object(
  {
    values: Type.Record(EnvName, TextValue, {
      maxProperties: 512,
      additionalProperties: false,
      description: 'Variables by name. Never for secrets: the engine stores them.',
    }),
    merge: Type.Array(
      Type.Object(
        {
          kind: Type.Enum(['object', 'pairs'], {
            description: '`object`: a JSON object. `pairs`: a JSON list of `{key, value}`.',
          }),
          from: TextValue,
        },
        { ...closed, description: 'Variables that are known only while the job runs.' },
      ),
      { maxItems: 8, description: 'Laid over `values` in this order. Names and values are judged like theirs.' },
    ),
  },
  { ...closed, description: 'Environment of a container of a job.' },
);
export type EnvValue = Static<typeof EnvValue>;

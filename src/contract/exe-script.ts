/**
 * Commands that a job carries out one after another in one container: the ExeScript of Golem, in the form in which its requestors
 * send it, an object with one key.
 */
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;
const word = (description: string) => Type.String({ maxLength: 32_768, pattern: '^[^\\u0000]*$', description });

/** Commands of one batch. */
export const maxCommands = 128;
/** Bytes that are kept of what a command has written to one of its streams, as UTF-8; its log has all of it. */
export const maxCapturedBytes = 16_384;

const Run = Type.Object(
  {
    entry_point: { ...word('Program, by its path in the image.'), minLength: 1 },
    args: Type.Optional(
      Type.Array(word('An argument, as it stands: no shell reads it.'), {
        maxItems: 1024,
        description: 'Arguments behind the program; none if absent.',
      }),
    ),
    env: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }),
        word('Value of the variable. Never a secret: the engine stores it.'),
        { maxProperties: 128, additionalProperties: false, description: 'Environment of this command alone.' },
      ),
    ),
    capture: Type.Optional(
      Type.Unknown({
        description: 'Accepted from existing scripts and without meaning: both streams of every command are captured.',
      }),
    ),
  },
  { ...closed, description: 'Runs a program in the container.' },
);

const address = (description: string) =>
  Type.String({ minLength: 1, maxLength: 4096, pattern: '^[^\\u0000-\\u0020\\u007f]+$', description });

const Transfer = Type.Object(
  {
    from: address('`https://…`, `http://…`, or `container:/absolute/path`.'),
    to: address('`container:/absolute/path`, or where a file is put by HTTP PUT: `https://…`, `http://…`.'),
  },
  { ...closed, description: 'Brings one file into the container, or one out of it.' },
);

const nothing = (description: string) => Type.Object({}, { ...closed, description });

export const ExeCommand = Type.Object(
  {
    deploy: Type.Optional(nothing('Gets the image and makes the container.')),
    start: Type.Optional(
      Type.Object(
        { args: Type.Optional(Type.Array(word('None is known.'), { maxItems: 0, description: 'Always empty.' })) },
        { ...closed, description: 'Starts the container.' },
      ),
    ),
    run: Type.Optional(Run),
    transfer: Type.Optional(Transfer),
    terminate: Type.Optional(nothing('Ends the container.')),
  },
  { ...closed, minProperties: 1, maxProperties: 1, description: 'One command.' },
);
export type ExeCommand = Static<typeof ExeCommand>;

export const ExeScript = Type.Array(ExeCommand, {
  minItems: 1,
  maxItems: maxCommands,
  description:
    'Carried out in order until one fails. `deploy` and `start` come first and are implied where they are left out, `terminate` comes last.',
});
export type ExeScript = Static<typeof ExeScript>;

const captured = (description: string) =>
  Type.Object(
    {
      text: Type.String({
        maxLength: maxCapturedBytes,
        description: `End of what it has written, at most ${maxCapturedBytes} bytes; less where the whole batch has written much.`,
      }),
      truncated: Type.Boolean({ description: 'True if it has written more.' }),
    },
    { ...closed, description },
  );

/** Result of one command, for the record of its step. */
export const CommandReport = Type.Object(
  {
    index: Type.Integer({ minimum: 0, maximum: maxCommands - 1, description: 'Which command of the batch, from 0.' }),
    command: Type.String({
      maxLength: 512,
      description: 'The command in one line, for a person: cut where it is long, and without queries of addresses.',
    }),
    state: Type.Enum(['pending', 'running', 'succeeded', 'failed', 'skipped'], {
      description: '`skipped`: one before it had failed, or the job ended before.',
    }),
    exit_code: Type.Union([Type.Integer({ minimum: 0, maximum: 255 }), Type.Null()], {
      description: 'Exit code of a `run`; null for other commands, and before its end.',
    }),
    stdout: Type.Optional(captured('What it has written to its standard output.')),
    stderr: Type.Optional(captured('What it has written to its standard error.')),
    message: Type.Union([Type.String({ maxLength: 2048 }), Type.Null()], {
      description: 'Why it failed, for a person; null where it did not.',
    }),
    duration_ms: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
      description: 'Milliseconds from its start to its end; null before.',
    }),
  },
  { ...closed, description: 'How a command of the batch stands.' },
);
export type CommandReport = Static<typeof CommandReport>;

/** What a host says of a job: while it runs, at its end, and as the output of its tasks. */
import { type Static, Type } from 'typebox';
import { bounds } from './bounds.ts';
import { CommandReport, maxCommands } from './exe-script.ts';
import { Failure } from './failures.ts';
import { identifierPattern } from './identifiers.ts';
import { InputCommit } from './job-inputs.ts';
import { Sha256 } from './job-outputs.ts';
import { JobState, StepState } from './job-state.ts';
import { StepId } from './job-values.ts';

const closed = { additionalProperties: false } as const;
const time = (description: string) => Type.Union([Type.String({ maxLength: 40 }), Type.Null()], { description });

export const StepReport = Type.Object(
  {
    id: StepId,
    state: StepState,
    started_at: time('RFC 3339 time of the first start of its container; null before.'),
    ended_at: time('RFC 3339 time of its end; null before.'),
    attempts: Type.Integer({ minimum: 0, maximum: 10_000, description: 'Starts of its container.' }),
    container_id: Type.Union([Type.String({ maxLength: 64 }), Type.Null()], {
      description: "The engine's id of its last container; null where there was none.",
    }),
    exit_code: Type.Union([Type.Integer({ minimum: 0, maximum: 255 }), Type.Null()], {
      description: 'Exit code of the last run; null while it runs, and where it did not exit by itself.',
    }),
    signal: Type.Union([Type.String({ maxLength: 16 }), Type.Null()], {
      description: 'Signal that ended the last run, as `SIGTERM`; null where none did.',
    }),
    oom_killed: Type.Boolean({ description: 'True if the kernel ended the last run for its memory.' }),
    results: Type.Record(
      Type.String({ pattern: '^(?!__proto__$)' }),
      Type.Array(Type.String({ maxLength: 65_536 }), { maxItems: 1000, description: 'Groups of all matches.' }),
      { maxProperties: 64, additionalProperties: false, description: 'What was read out of its log, by name.' },
    ),
    commands: Type.Optional(
      Type.Array(CommandReport, {
        maxItems: maxCommands,
        description: 'Of a step with a script, each of its commands.',
      }),
    ),
    failure: Type.Union([Failure, Type.Null()], {
      description: 'Why it did not succeed; null if it did, or is not done.',
    }),
  },
  { ...closed, description: 'One step.' },
);
export type StepReport = Static<typeof StepReport>;

export const CheckReport = Type.Object(
  {
    kind: Type.Enum(['executable', 'file', 'command'], {
      description: 'What was looked for, or that it is a command.',
    }),
    id: Type.String({ maxLength: 512, description: 'Name of the program or file; of a command, its id in the plan.' }),
    label: Type.Union([Type.String({ maxLength: 128 }), Type.Null()], {
      description: 'What its author calls it; null where it has no other name.',
    }),
    state: Type.Enum(['pending', 'running', 'passed', 'failed', 'skipped'], {
      description: '`skipped`: one before it had failed, or the job ended before.',
    }),
    reason: Type.Union([Type.String({ maxLength: 8192 }), Type.Null()], {
      description: 'Why it did not pass; null where it did, or is not done.',
    }),
    duration_ms: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], { description: 'How long it took.' }),
    output: Type.Union([Type.String({ maxLength: 8192 }), Type.Null()], {
      description: 'End of what a command has written. What the job itself writes is never here.',
    }),
  },
  { ...closed, description: 'One check before the services, or before the steps.' },
);
export type CheckReport = Static<typeof CheckReport>;

export const InputReport = Type.Object(
  {
    id: Type.String({ pattern: identifierPattern, description: 'Name of the input within the plan.' }),
    sha256: { ...Sha256, description: 'sha256 of the list of its files and their hashes.' },
    commit: Type.Union([InputCommit, Type.Null()], {
      description: 'Commit that its revision was; null for what comes of no repository.',
    }),
  },
  { ...closed, description: 'Data that is there.' },
);

export const JobWarning = Type.Object(
  {
    kind: Type.Enum(['input', 'output', 'log'], { description: 'What it is about.' }),
    name: Type.String({ maxLength: 128, description: 'Its name: of a log, that of the part whose it is.' }),
    code: Type.String({ maxLength: 64, description: 'Code of the failure.' }),
    message: Type.String({ maxLength: bounds.line, description: 'What went wrong, for a person.' }),
  },
  { ...closed, description: 'What could not be fetched or kept, and was not required, or may be yet.' },
);
export type JobWarning = Static<typeof JobWarning>;

export const maxJobWarnings = 64;

export const JobReport = Type.Object(
  {
    state: JobState,
    summary: Type.String({ maxLength: bounds.message * 2, description: 'One sentence for a person.' }),
    started_at: time('RFC 3339 time at which its preparation began; null before.'),
    ended_at: time('RFC 3339 time of its end; null before.'),
    checks: Type.Optional(
      Type.Array(CheckReport, { maxItems: 160, description: 'Every check, in the order in which they are done.' }),
    ),
    inputs: Type.Optional(
      Type.Array(InputReport, { maxItems: 64, description: 'Inputs that were fetched, in the order of the plan.' }),
    ),
    warnings: Type.Optional(
      Type.Array(JobWarning, {
        maxItems: maxJobWarnings,
        description: 'What could not be fetched or kept and did not make it fail, in the order in which it was found.',
      }),
    ),
    steps: Type.Array(StepReport, { maxItems: 128, description: 'Every step, in the order of the plan.' }),
    failure: Type.Union([Failure, Type.Null()], {
      description: 'Why it did not succeed; null if it did, or is not done.',
    }),
  },
  { ...closed, description: 'How a job stands.' },
);
export type JobReport = Static<typeof JobReport>;

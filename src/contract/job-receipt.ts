/**
 * What a node signs about a job that has ended: what ran, how it ended, and what came out.
 *
 * A receipt is a compact JWS with the identity key of its node. The receipts of a node are a chain: each has the next number
 * and the sha256 of the one before, so none can be taken out, changed or put in between later on.
 */
import { type Static, Type } from 'typebox';
import { IdentityKey } from './enrolment.ts';
import { CommandReport, maxCommands } from './exe-script.ts';
import { identifierPattern } from './identifiers.ts';
import { InputCommit } from './job-inputs.ts';
import { KeptOutput, maxOutputs, Sha256 } from './job-outputs.ts';
import { StepReport } from './job-report.ts';
import { JobState } from './job-state.ts';

const closed = { additionalProperties: false } as const;
const id = (description: string) => Type.String({ pattern: identifierPattern, description });
const time = (description: string) => Type.Union([Type.String({ maxLength: 40 }), Type.Null()], { description });
const { id: stepId, state, exit_code, signal, oom_killed, started_at, ended_at } = StepReport.properties;
const { state: commandState, exit_code: commandExit } = CommandReport.properties;
const { name, kind, sha256, bytes } = KeptOutput.properties;

/** Protected header of a receipt: `{alg: 'EdDSA', kid, typ}`; `kid` is the thumbprint (RFC 7638) of the key. */
export const receiptJwsType = 'gpuaas-receipt+jws';
/** Most characters of a receipt as it travels. */
export const maxReceiptLength = 512 * 1024;

/** What the executor knows of a job that has ended; the chain is added where it is signed. */
export const ReceiptFacts = Type.Object(
  {
    job_id: id('The job.'),
    project_id: id('Project that the job belongs to.'),
    allocation_id: id('Allocation that it ran on.'),
    task_id: id('Task that ran it: another one for each attempt.'),
    attempt: Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Which attempt of the job it was.' }),
    plan_sha256: { ...Sha256, description: 'sha256 of the plan as JSON with sorted keys and no space.' },
    document_sha256: {
      ...Sha256,
      description: 'sha256 of the document without its secrets, as JSON with sorted keys and no space.',
    },
    images: Type.Array(
      Type.Object(
        {
          id: id('Name of the image within the plan.'),
          reference: Type.String({ maxLength: 512, description: 'What was asked for, by digest.' }),
          provenance: Type.Optional(
            Type.Object(
              {
                revision_sha256: { ...Sha256, description: 'sha256 of the tar of the revision it was built from.' },
                bases: Type.Array(Type.String({ maxLength: 512 }), {
                  maxItems: 64,
                  description: 'Images that it was built on, by digest.',
                }),
                builder: Type.Optional(
                  Type.Literal('docker-classic', { description: "What has built it: the engine's own first builder." }),
                ),
                engine: Type.Optional(
                  Type.Union([Type.String({ maxLength: 128 }), Type.Null()], {
                    description:
                      'Version of the engine that has built it; null where the job ended before it was there.',
                  }),
                ),
              },
              { ...closed, description: 'What it was made of; for an image that its host has built.' },
            ),
          ),
          image_id: Type.Union([Type.String({ maxLength: 128 }), Type.Null()], {
            description: "The engine's id of what it ran; null where the job ended before it was there.",
          }),
        },
        { ...closed, description: 'An image.' },
      ),
      { maxItems: 128, description: 'Images of the plan.' },
    ),
    inputs: Type.Array(
      Type.Object(
        {
          id: id('Name of the input within the plan.'),
          sha256: Type.Union([Sha256, Type.Null()], {
            description:
              'sha256 of the list of its files and their hashes; null where the job ended before it was there.',
          }),
          commit: Type.Optional({
            ...InputCommit,
            description: 'Commit that its revision was; absent for what comes of no repository.',
          }),
        },
        { ...closed, description: 'An input.' },
      ),
      { maxItems: 64, description: 'Inputs of the plan.' },
    ),
    steps: Type.Array(
      Type.Object(
        {
          ...{ id: stepId, state, exit_code, signal, oom_killed, started_at, ended_at },
          commands: Type.Optional(
            Type.Array(
              Type.Object({ state: commandState, exit_code: commandExit }, { ...closed, description: 'A command.' }),
              {
                maxItems: maxCommands,
                description: 'Of a step with a script, each of its commands in order.',
              },
            ),
          ),
        },
        { ...closed, description: 'A step.' },
      ),
      { maxItems: 128, description: 'Every step, in the order of the plan.' },
    ),
    outputs: Type.Array(Type.Object({ name, kind, sha256, bytes }, { ...closed, description: 'An output.' }), {
      maxItems: maxOutputs,
      description: 'What was kept of it.',
    }),
    state: JobState,
    started_at: time('RFC 3339 time at which its preparation began; null where it did not.'),
    ended_at: time('RFC 3339 time of its end.'),
  },
  closed,
);
export type ReceiptFacts = Static<typeof ReceiptFacts>;

export const JobReceipt = Type.Object(
  {
    version: Type.Literal(1, { description: 'Version of this form.' }),
    node_id: id('The node that signs.'),
    chain: id('The chain: a node that has lost its memory begins another one.'),
    number: Type.Integer({ minimum: 1, description: 'Place in the chain, beginning with 1.' }),
    previous: Type.Union([Sha256, Type.Null()], {
      description: 'sha256 of the receipt before, as it travels; null for the first.',
    }),
    ...ReceiptFacts.properties,
  },
  { ...closed, description: 'What a node says of a job that has ended.' },
);
export type JobReceipt = Static<typeof JobReceipt>;

/** What `gpuaas nodes keys` writes: whose receipts can be verified with it. */
export const NodeKeys = Type.Object(
  {
    node_id: id('The node.'),
    keys: Type.Array(
      Type.Object(
        {
          key: IdentityKey,
          until: Type.Union([Type.String({ maxLength: 40 }), Type.Null()], {
            description: 'RFC 3339 time at which another one took its place; null for the present one.',
          }),
        },
        { ...closed, description: 'An identity key.' },
      ),
      { minItems: 1, maxItems: 512, description: 'Identity keys of the node, oldest first.' },
    ),
  },
  { ...closed, description: 'The public keys that a node has signed with.' },
);
export type NodeKeys = Static<typeof NodeKeys>;

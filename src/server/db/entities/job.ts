/**
 * Jobs: what somebody wants done once, and how far it is. A job is three things here: itself, small, since lists and the queue
 * read many; the document it came with; and what its host reports of it.
 */
import { type Static, Type } from 'typebox';
import { ExeScript } from '../../../contract/exe-script.ts';
import { Failure } from '../../../contract/failures.ts';
import { identifierPattern } from '../../../contract/identifiers.ts';
import { InputCommit, maxInlineBytes } from '../../../contract/job-inputs.ts';
import { jobProgress } from '../../../contract/job-output.ts';
import { Sha256 } from '../../../contract/job-outputs.ts';
import { CommandPolicy, JobIdentity } from '../../../contract/job-plan.ts';
import { maxReceiptLength } from '../../../contract/job-receipt.ts';
import { JobReport } from '../../../contract/job-report.ts';
import { JobState } from '../../../contract/job-state.ts';
import { StepId } from '../../../contract/job-values.ts';
import { ManifestAbout, SignedManifest } from '../../../contract/payload-manifest.ts';
import { RegistryImage, Resources, Sandbox } from '../../../contract/workload-oci-launch.ts';
import { Requirements } from '../../../manifests/computalot/requirements.ts';
import { closed, id, nullable, text, time } from './fields.ts';

const { gpu_count, cpu_cores, memory_gib, shm_gib } = Resources.properties;
const disk_gib = Type.Number({ minimum: 0, maximum: 1_048_576, description: 'Free disk in GiB that it has to find.' });

export const JobNeeds = Type.Object(
  {
    gpu_count,
    gpu_memory_mib: Type.Integer({ minimum: 0, description: 'Least memory of each card; 0 for any.' }),
    cpu_cores: nullable(cpu_cores, 'Cores; null for the share of its host that goes with its cards.'),
    memory_gib: nullable(memory_gib, 'Memory in GiB; null for that share.'),
    least_memory_gib: Type.Optional({
      ...memory_gib,
      description:
        'Least that share may be: the shared memory of its containers that run side by side is a part of it.',
    }),
    disk_gib,
    disk_parts: Type.Optional(
      Type.Array(
        Type.Object(
          {
            part: text(64, 'What it is for.'),
            gib: Type.Number({ minimum: 0, description: 'How much of it, in GiB.' }),
          },
          { ...closed, description: 'A part of the disk.' },
        ),
        { maxItems: 16, description: 'What the disk is for, where that is known.' },
      ),
    ),
    sandbox: Type.Optional({ ...Sandbox, description: 'Sandbox that its host has to offer; any host if absent.' }),
    builds: Type.Optional(Type.Boolean({ description: 'True if its host has to build its image.' })),
    build_network: Type.Optional(Type.Boolean({ description: 'True if that build has the network of the job.' })),
    downloads: Type.Optional(
      Type.Boolean({ description: 'True if its host has to download its image, which is named by its hash.' }),
    ),
    shared_services: Type.Optional(
      Type.Boolean({ description: 'True if it shares services with other jobs of its revision there.' }),
    ),
    service_states: Type.Optional(
      Type.Boolean({
        description: 'True if its agent has to know how services stand: it shares some of them, and not all.',
      }),
    ),
    payload: Type.Optional(
      Type.Boolean({ description: 'True if its agent has to carry out computation payload manifests.' }),
    ),
    allow_list: Type.Optional(
      Type.Boolean({ description: 'True if its agent has to hold the job to a list of addresses.' }),
    ),
    architectures: Type.Optional(
      Type.Array(text(32, 'An architecture, `x86_64` or `aarch64`.'), {
        maxItems: 8,
        description: 'Architectures of the hosts that can carry it out; any if absent.',
      }),
    ),
  },
  { ...closed, description: 'What a host must have free for it.' },
);
export type JobNeeds = Static<typeof JobNeeds>;

const deadline = Type.Integer({
  minimum: 1,
  maximum: 2_592_000,
  description: 'Most seconds from the acceptance by its host to its end.',
});
const retries = Type.Integer({
  minimum: 0,
  maximum: 10,
  description:
    'How often it is begun anew where the failure is none of its own: by default 3 with `resume_from_latest`, 0 without.',
});
const onFailure = Type.Enum(['stop', 'continue'], {
  description: 'Whether later groups run after a step that failed.',
});
const checkpointing = Type.Optional(
  Type.Object(
    {
      resume_from_latest: Type.Boolean({
        description: 'True if an attempt that follows another goes on from the newest checkpoints that are here.',
      }),
    },
    { ...closed, description: 'What becomes of its checkpoints.' },
  ),
);
const buildNetwork = Type.Optional(
  Type.Enum(['none', 'bridge'], {
    description:
      'Of a job of a revision, what the build of its image may reach: nothing, or with `bridge` what the job itself can; `none` if absent.',
  }),
);
const allow = Type.Optional(
  Type.Array(text(4096, 'An address: scheme, host and port, `https://host[:port]`.'), {
    minItems: 1,
    maxItems: 256,
    description:
      'Addresses that its containers may reach, and nothing else; whatever is public if absent. A manifest that says it itself has none.',
  }),
);
const keep = Type.Boolean({ description: 'True if containers and volumes stay on the host until the job is removed.' });

/** As somebody gives them; what is left out has a default. */
export const JobOptions = Type.Object(
  {
    sandbox: Type.Optional(Sandbox),
    resources: Type.Optional(
      Type.Object(
        {
          gpu_count: Type.Optional({ ...gpu_count, description: 'Cards of each step that asks for one; default 1.' }),
          cpu_cores: Type.Optional({ ...cpu_cores, description: 'Cores of all its containers together.' }),
          memory_gib: Type.Optional({ ...memory_gib, description: 'Memory of all its containers together, in GiB.' }),
          shm_gib,
          disk_gib: Type.Optional(disk_gib),
        },
        { ...closed, description: 'What it gets. Cores and memory default to a share of its host.' },
      ),
    ),
    on_failure: Type.Optional(onFailure),
    deadline_seconds: Type.Optional(deadline),
    keep: Type.Optional(keep),
    retries: Type.Optional(retries),
    checkpointing,
    build_network: buildNetwork,
    allow,
    allocation_id: Type.Optional(id('The only allocation that it may run on; any of the project if absent.')),
  },
  { ...closed, description: 'How it is to be carried out.' },
);
export type JobOptions = Static<typeof JobOptions>;

const Warning = Type.Object(
  {
    path: text(2000, 'JSON pointer into the document.'),
    code: text(64, 'What sort of warning.'),
    message: text(2000, 'What is worth a look.'),
  },
  { ...closed, description: 'Something that was accepted and is probably not meant.' },
);

const JobImage = Type.Object(
  {
    name: text(600, 'Whole name, with the tag that the document has.'),
    reference: text(600, 'What that was when the job was submitted, by digest: this is what runs.'),
    media_type: RegistryImage.properties.media_type,
  },
  { ...closed, description: 'An image of the job.' },
);
export type JobImage = Static<typeof JobImage>;

const JobStepFacts = Type.Object(
  {
    id: StepId,
    name: text(128, 'What its author calls it.'),
    group: text(128, 'Groups run one after another, the steps of one side by side.'),
    depends_on: Type.Array(StepId, { maxItems: 128, description: 'Steps that have to be ready before.' }),
    image: text(600, 'Whole name of its image.'),
  },
  { ...closed, description: 'A step, as it was planned.' },
);
export type JobStepFacts = Static<typeof JobStepFacts>;

const JobAttempt = Type.Object(
  {
    number: Type.Integer({ minimum: 1, description: 'From 1 on.' }),
    allocation_id: id('Where it ran.'),
    node_id: id('Node that it was given to.'),
    task_id: id('The task.'),
    resources: { ...Resources, description: 'What it was given.' },
    state: JobState,
    failure: nullable(
      Failure,
      'Why it did not succeed, or what went wrong on its host after it had; null where nothing did, or it is not over.',
    ),
    begun: Type.Boolean({ description: 'True once its host has begun with it; one that was not is no retry.' }),
    resumed_from: Type.Optional(
      Type.Array(
        Type.Object({ name: text(64, 'Its name.'), sha256: Sha256 }, { ...closed, description: 'A checkpoint.' }),
        {
          maxItems: 64,
          description: 'Checkpoints of the attempts before that it goes on from.',
        },
      ),
    ),
    dispatched_at: time('When it was given to its host.'),
    ended_at: nullable(
      time('When.'),
      'When its host was through with it, clean-up included: that of a job that has succeeded may come after. Null until then.',
    ),
  },
  { ...closed, description: 'A time that the job was begun.' },
);
export type JobAttempt = Static<typeof JobAttempt>;

/** Of a plan. */
export const mostInputs = 64;

export const Job = Type.Object(
  {
    id: id('The job.'),
    project_id: id('Project that owns it.'),
    name: JobIdentity.properties.display_name,
    dialect: JobIdentity.properties.dialect,
    document_sha256: JobIdentity.properties.document_sha256,
    revision_sha256: Type.Optional({
      ...Sha256,
      description: 'Revision whose files it is made of; absent for others.',
    }),
    about: Type.Optional(ManifestAbout),
    options: Type.Object(
      {
        sandbox: Sandbox,
        gpu_count: { ...gpu_count, description: 'Cards of each step that asks for one.' },
        shm_gib,
        ...{ on_failure: onFailure, deadline_seconds: deadline, keep, retries, checkpointing },
        build_network: buildNetwork,
        allow,
        allocation_id: nullable(id('The allocation.'), 'The only one that it may run on; null for any of the project.'),
      },
      { ...closed, description: 'How it is carried out, defaults filled in.' },
    ),
    needs: JobNeeds,
    images: Type.Array(JobImage, { maxItems: 128, description: 'Its images, as they were resolved.' }),
    steps: Type.Array(JobStepFacts, { maxItems: 128, description: 'Its steps, in the order of the plan.' }),
    warnings: Type.Array(Warning, {
      maxItems: 1000,
      description: 'What was accepted of the document and is worth a look.',
    }),
    state: JobState,
    state_since: time('Since when it is in this state.'),
    reason: text(1000, 'Why it is in this state, or what it waits for, in one sentence.'),
    failure: nullable(Failure, 'Why it did not succeed; null if it did, or may yet.'),
    steps_ended: Type.Integer({ minimum: 0, description: 'How many of its steps are over.' }),
    input_commits: Type.Optional(
      Type.Record(Type.String({ pattern: identifierPattern }), InputCommit, {
        maxProperties: mostInputs,
        additionalProperties: false,
        description:
          'Inputs of a repository, by id, as the first attempt that had them has found them: all that follow have the same.',
      }),
    ),
    attempts: Type.Array(JobAttempt, { maxItems: 32, description: 'Times that it was begun, oldest first.' }),
    cancelled_at: nullable(time('When.'), 'When somebody asked to end it; null if nobody has.'),
    removal_task_id: nullable(
      id('The task.'),
      'Task that takes away what it left on its host; null where nobody wants that.',
    ),
    created_at: time('When it was submitted.'),
    created_by: id('API token that submitted it.'),
    queued_at: time('Since when it waits for a host, or waited for the last one.'),
    started_at: nullable(time('When.'), 'When its host began with it; null before that.'),
    ended_at: nullable(time('When.'), 'When it was over; null before that.'),
    updated_at: time('When it last changed.'),
    trace_id: text(64, 'Request that submitted it.'),
  },
  { ...closed, description: 'A job.' },
);
export type Job = Static<typeof Job>;

export const Batch = Type.Object(
  {
    script: ExeScript,
    signed_manifest: SignedManifest,
    command_policy: Type.Optional(CommandPolicy),
  },
  {
    ...closed,
    description: 'What is carried out under a computation payload manifest, and the manifest as it was sent.',
  },
);
export type Batch = Static<typeof Batch>;

export const JobDocument = Type.Object(
  {
    id: id('The job.'),
    document: Type.Unknown({
      description: 'The document, with its secrets replaced; of a job of a revision its manifest, as it was pushed.',
    }),
    requirements: Type.Optional({
      ...Requirements,
      description: 'What the job asks for in the place of what its manifest does, where it does.',
    }),
    payload_json: Type.Optional(
      text(maxInlineBytes, 'What the job of a revision is given: JSON, its numbers as its author wrote them.'),
    ),
    batch: Type.Optional(Batch),
    payload: Type.Optional(
      Type.Unknown({ description: 'The same as a value, of a job of before it was kept as text.' }),
    ),
    sealed_secrets: nullable(
      text(524_288, 'Sealed.'),
      'Its secrets, sealed under a key that is not in the store; null where there are none, and after the end of the job.',
    ),
  },
  { ...closed, description: 'What a job was made of.' },
);
export type JobDocument = Static<typeof JobDocument>;

const NewsAhead = Type.Object(
  {
    attempt: Type.Integer({ minimum: 2, description: 'Attempt that it is of.' }),
    state: JobState,
    outputs: jobProgress.outputs,
  },
  { ...closed, description: 'What the host last said of an attempt of which no step has begun.' },
);

export const JobNews = Type.Object(
  {
    id: id('The job.'),
    attempt: Type.Integer({ minimum: 1, description: 'Attempt that it is of.' }),
    report: JobReport,
    ...jobProgress,
    receipt: nullable(
      text(maxReceiptLength, 'Compact JWS.'),
      'Receipt of its host, as a compact JWS; null until its end.',
    ),
    ahead: Type.Optional({
      ...NewsAhead,
      description: 'Of the last attempt, while the rest is of one before it as no step has begun since; else absent.',
    }),
  },
  { ...closed, description: 'What the host last said of it.' },
);
export type JobNews = Static<typeof JobNews>;

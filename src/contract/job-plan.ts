/**
 * One job as a host carries it out: inputs → preflight → services → checks → init → steps → outputs.
 *
 * Every dialect of jobs is translated to this and to nothing else. Images are pinned by digest, values that are known only
 * later are typed references, and what a container may do is judged by the same policy as that of any workload.
 */
import { type Static, Type } from 'typebox';
import { ExeScript } from './exe-script.ts';
import { identifierPattern } from './identifiers.ts';
import { BuildImage, revisionReference } from './job-build.ts';
import { JobEgress } from './job-egress.ts';
import { JobInput } from './job-inputs.ts';
import { EnvValue, ListValue, Reference, StepId, TextValue } from './job-values.ts';
import { PlanPayload, SignedManifest } from './payload-manifest.ts';
import { taggedUnion } from './tagged-union.ts';
import {
  absolutePath,
  LogLimits,
  RegistryImage,
  Resources,
  RestartPolicy,
  Sandbox,
  SealedValue,
} from './workload-oci-launch.ts';

const closed = { additionalProperties: false } as const;
/** Most containers of a job that can be there at once: its network, a /28, has no more addresses. */
export const maxTogether = 13;
const maxSteps = 128;
/** Volumes and caches in one container. */
export const maxMounts = 32;

const VolumeName = Type.String({ pattern: identifierPattern, description: 'Name of a volume within the job.' });
const seconds = (description: string) => Type.Integer({ minimum: 1, maximum: 2_592_000, description });

const ownIdentity = {
  project_id: Type.String({ pattern: identifierPattern, description: 'Project that owns and pays for the job.' }),
  job_id: Type.String({
    pattern: identifierPattern,
    description: 'The job itself. Containers, network and volumes are named after it.',
  }),
  allocation_id: Type.String({
    pattern: identifierPattern,
    description: 'Allocation that the job runs on; must be the one this host is configured for.',
  }),
};

/** Which job a task is about, once it was launched. */
export const JobRef = Type.Object(ownIdentity, { ...closed, description: 'Which job it is.' });
export type JobRef = Static<typeof JobRef>;

export const JobIdentity = Type.Object(
  {
    ...ownIdentity,
    display_name: Type.String({
      minLength: 1,
      maxLength: 128,
      pattern: '^[^\\u0000-\\u001f\\u007f]*$',
      description: 'Name that people gave the job. Shown, never used as a name on the host.',
    }),
    dialect: Type.Enum(['nosana', 'computalot', 'golem'], {
      description: 'What the document of its author was written for.',
    }),
    document_sha256: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: 'sha256, in hex, of the document without its secrets, as JSON with sorted keys and no space.',
    }),
    attempt: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Which attempt of the job it is; 1 if left out.' }),
    ),
  },
  { ...closed, description: 'Which job it is and whom it belongs to.' },
);

const PayloadImage = Type.Object(
  {
    kind: Type.Literal('payload', { description: 'The host downloads it, or pulls it by digest, as a manifest says.' }),
    payload: Type.Array(PlanPayload, {
      minItems: 1,
      maxItems: 64,
      description: 'As the manifest has them; the host takes the first that is for its platform.',
    }),
  },
  { ...closed, description: 'An image of a computation payload manifest.' },
);
export type PayloadImage = Static<typeof PayloadImage>;

/** How a receipt and people name such an image: by the hashes that it may have. */
function payloadReference({ payload }: PayloadImage): string {
  return [...new Set(payload.map(({ hash }) => hash))].join(' or ').slice(0, 512);
}

export const JobImageSource = taggedUnion('kind', [RegistryImage, BuildImage, PayloadImage], 'Where it comes from.');

/** How a receipt and people name it: a registry image by its reference, what is built or downloaded by what it is made of. */
export function imageName(source: Static<typeof JobImageSource>): string {
  if (source.kind === 'registry') return source.reference;
  return source.kind === 'build' ? revisionReference(source) : payloadReference(source);
}

const JobImage = Type.Object(
  {
    id: Type.String({ pattern: identifierPattern, description: 'Name of the image within the plan.' }),
    source: JobImageSource,
    credential: Type.Optional({
      ...SealedValue,
      description: 'Registry credential `{username, password}` as a compact JWE for this node. For the pull only.',
    }),
  },
  { ...closed, description: 'An image of the job.' },
);

const JobVolume = Type.Object(
  { name: VolumeName },
  { ...closed, description: 'An engine volume of this job alone. It goes with the job.' },
);

const JobCache = Type.Object(
  {
    name: { ...VolumeName, description: 'Name of the cache within the plan. No volume has the same.' },
    revision_sha256: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: 'Revision of the project that it belongs to: its next job on the host finds what this one left.',
    }),
    class: Type.Enum(['pip', 'cargo', 'model', 'data'], { description: 'What its author keeps there. Shown.' }),
    max_bytes: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Where it holds more on the disk, it is emptied before a job uses it again.',
      }),
    ),
    seed_from_image: Type.Boolean({
      description: 'True if it begins with what the image of the first container with it has at its place.',
    }),
  },
  {
    ...closed,
    description: 'Something a host keeps from one job of a revision for the next. Hides what the image has there.',
  },
);
export type JobCache = Static<typeof JobCache>;

const JobMount = Type.Object(
  {
    volume: { ...VolumeName, description: 'Name of a volume or of a cache of the plan.' },
    path: Type.String({ maxLength: 512, pattern: absolutePath, description: 'Absolute path inside the container.' }),
    read_only: Type.Boolean({ description: 'True if the container may not write there.' }),
  },
  { ...closed, description: 'A volume in a container.' },
);

const container = {
  image: Type.String({ pattern: identifierPattern, description: 'Id of an image of this plan.' }),
  entrypoint: Type.Optional({ ...ListValue, description: "Replaces the image's ENTRYPOINT." }),
  command: Type.Optional({ ...ListValue, description: "Replaces the image's CMD. Argument vector; no shell." }),
  env: EnvValue,
  work_dir: Type.Optional({ ...TextValue, description: 'Absolute path to begin in; that of the image if absent.' }),
  mounts: Type.Array(JobMount, { maxItems: maxMounts, description: 'Volumes in the container.' }),
  resources: Resources,
};

const Label = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: '^[^\\u0000-\\u001f\\u007f]*$',
  description: 'What its author calls it. Shown, never used as a name on the host.',
});

const RunOnce = Type.Object(
  {
    id: StepId,
    label: Type.Optional(Label),
    ...container,
    timeout_seconds: seconds('Most seconds from its start to its end.'),
  },
  { ...closed, description: 'A container that has to end with 0.' },
);

const Preflight = Type.Object(
  {
    type: Type.Enum(['executable', 'file'], {
      description:
        '`executable`: a program, looked for along PATH where its name has no slash. `file`: anything but a folder.',
    }),
    name: Type.String({
      minLength: 1,
      maxLength: 512,
      pattern: '^[^\\u0000-\\u001f\\u007f]*$',
      description: 'As its author names it: absolute, or relative to `work_dir`.',
    }),
    image: Type.String({
      pattern: identifierPattern,
      description: 'Id of the image of this plan that has to have it.',
    }),
    work_dir: Type.String({ maxLength: 512, pattern: absolutePath, description: 'Folder that names are relative to.' }),
  },
  { ...closed, description: 'Something that an image has to have. Looked for without a container that runs.' },
);
export type Preflight = Static<typeof Preflight>;

const httpCheck = Type.Object(
  {
    type: Type.Literal('http', { description: 'Passes when a request is answered with the expected status.' }),
    path: Type.String({
      maxLength: 2048,
      pattern: '^/[\\u0021-\\u007e]*$',
      description: 'Path and query of the request, beginning with `/`.',
    }),
    method: Type.Enum(['GET', 'POST', 'PUT', 'DELETE'], { description: 'Method of the request.' }),
    expected_status: Type.Integer({ minimum: 100, maximum: 599, description: 'The status that passes.' }),
    headers: Type.Record(Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' }), Type.String({ maxLength: 4096 }), {
      maxProperties: 32,
      additionalProperties: false,
      description: 'Headers of the request.',
    }),
    body: Type.Optional(Type.String({ maxLength: 65_536, description: 'Body of the request.' })),
    continuous: Type.Boolean({ description: 'True if it is asked again for as long as the step runs.' }),
    restart_on_failure: Type.Boolean({ description: 'True if a continuous check that fails restarts the step.' }),
    max_restarts: Type.Integer({ minimum: 0, maximum: 100, description: 'Such restarts before the step has failed.' }),
  },
  { ...closed, description: 'An HTTP request to the port.' },
);

const websocketCheck = Type.Object(
  {
    type: Type.Literal('websocket', { description: 'Passes when the first message has the expected text.' }),
    expected_response: Type.String({ maxLength: 4096, description: 'The text of the message.' }),
    continuous: Type.Boolean({ description: 'True if it is asked again for as long as the step runs.' }),
  },
  { ...closed, description: 'A WebSocket connection to the port.' },
);

const JobExpose = taggedUnion(
  'kind',
  [
    Type.Object(
      {
        kind: Type.Literal('port', { description: 'A port that is known now.' }),
        port: Type.Integer({ minimum: 1, maximum: 65_535, description: 'Port that the step listens on.' }),
        protocol: Type.Enum(['http', 'tcp'], { description: 'What is spoken there; both are TCP on the wire.' }),
        checks: Type.Array(taggedUnion('type', [httpCheck, websocketCheck], 'How it is asked whether it is well.'), {
          maxItems: 16,
          description: 'The step is ready when all of them have passed; without any, when the port is open.',
        }),
      },
      { ...closed, description: 'A port on the loopback address of the host, which chooses its number there.' },
    ),
    Type.Object(
      {
        kind: Type.Literal('later', { description: 'Ports that are known only while the job runs.' }),
        from: Reference,
        chunked: Type.Boolean({ description: 'True where the value is JSON in pieces.' }),
      },
      { ...closed, description: 'A number, a range such as `8000-8010`, or a list of them.' },
    ),
  ],
  'What a step publishes, on the loopback address of the host only.',
);

const StepResult = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 128, description: 'Name by which others refer to it.' }),
    regex: Type.String({
      minLength: 1,
      maxLength: 1024,
      description: 'Matched against each line in time linear to its length; the groups of all matches are the result.',
    }),
    channels: Type.Array(Type.Enum(['stdout', 'stderr'], { description: 'A stream of the log.' }), {
      maxItems: 2,
      description: 'Where lines are looked at; nowhere, where the author meant a stream that no container has.',
    }),
  },
  { ...closed, description: 'Something to be read out of the log of a step.' },
);

const stepIds = (description: string) => Type.Array(StepId, { maxItems: maxSteps, description });

export const JobStep = Type.Object(
  {
    id: StepId,
    group: Type.String({
      minLength: 1,
      maxLength: 128,
      description: 'Groups run one after another in order of first appearance, the steps of one side by side.',
    }),
    ...container,
    script: Type.Optional({
      ...ExeScript,
      description:
        'Commands that are run in its container, in place of `entrypoint` and `command`. Such a step is the only one of its plan.',
    }),
    aliases: Type.Array(
      Type.String({ pattern: '^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$', description: 'A host name.' }),
      { maxItems: 16, description: 'Names beside its id by which the others of the job reach it.' },
    ),
    depends_on: stepIds('Steps of its group that have to be ready before it starts.'),
    stops_with: stepIds('It serves these: when all of them have ended, it is stopped and counts as succeeded.'),
    expose: Type.Array(JobExpose, { maxItems: 64, description: 'What it publishes.' }),
    timeout_seconds: Type.Optional(seconds('Most seconds from the start of its container to its end.')),
    restart: RestartPolicy,
    results: Type.Array(StepResult, { maxItems: 64, description: 'What is read out of its log.' }),
    needs: Type.Array(Type.String({ pattern: identifierPattern, description: 'Id of an input.' }), {
      maxItems: 64,
      description: 'Inputs that have to be there before it starts. The others are fetched before the first step.',
    }),
  },
  { ...closed, description: 'One container of the job proper.' },
);
export type JobStep = Static<typeof JobStep>;

const JobService = Type.Object(
  {
    id: StepId,
    ...container,
    expose: Type.Array(JobExpose, {
      maxItems: 64,
      description: 'What it publishes, and how it is asked whether it is well.',
    }),
    healthcheck: Type.Optional(
      Type.Object(
        {
          command: Type.Array(Type.String({ maxLength: 32_768, pattern: '^[^\\u0000]*$', description: 'A word.' }), {
            minItems: 1,
            maxItems: 1024,
            description: 'Argument vector, run in the container of the service; no shell.',
          }),
        },
        {
          ...closed,
          description: 'It is well where this ends with 0; asked until then, and again while the job runs.',
        },
      ),
    ),
    scope: Type.Optional(
      Type.Enum(['job', 'project'], {
        description: '`job`, also if absent: it ends with the job. `project`: it is shared by jobs of one revision.',
      }),
    ),
    restart: RestartPolicy,
    ready_seconds: seconds('Most seconds from its start until it is ready.'),
  },
  { ...closed, description: 'A container that runs beside all steps, and is ready before the first.' },
);

const JobOutput = Type.Object(
  {
    name: Type.String({ pattern: identifierPattern, description: 'Name of the artifact.' }),
    volume: VolumeName,
    path: Type.String({
      maxLength: 512,
      pattern: '^[^/\\u0000][^\\u0000]*$',
      description: 'File or folder, relative to the volume; a folder becomes one archive.',
    }),
    type: Type.Enum(['artifact', 'checkpoint'], {
      description: '`artifact` is taken at the end; `checkpoint` also while the job runs, whenever it has changed.',
    }),
    required: Type.Boolean({ description: 'True if the job has failed without it.' }),
  },
  { ...closed, description: 'What is kept of the data of the job.' },
);

export const CommandPolicy = Type.Enum(['strict', 'yagna'], {
  description:
    'How its commands are held against the rules of its manifest; `strict` if absent. `yagna`: as the programs of the Golem network do, where the operator of the host accepts that.',
});
export type CommandPolicy = Static<typeof CommandPolicy>;

export const JobPlan = Type.Object(
  {
    identity: JobIdentity,
    sandbox: Sandbox,
    resources: {
      ...Resources,
      description: 'What its containers get together, at most, at any time. Each has its own share in `resources`.',
    },
    gpu_memory_mib: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2 ** 24,
        description: 'Least memory of each card, of which it may report a fiftieth less; any if absent.',
      }),
    ),
    disk_gib: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1_048_576,
        description:
          'Free disk in GiB that it is to find where the engine keeps its data: its host makes room of caches and built images that nothing uses, and refuses it where that is too little. What is kept of its own revision counts. Absent: whatever there is.',
      }),
    ),
    images: Type.Array(JobImage, { minItems: 1, maxItems: maxSteps, description: 'Images by id.' }),
    volumes: Type.Array(JobVolume, { maxItems: 64, description: 'Volumes of the job.' }),
    caches: Type.Optional(
      Type.Array(JobCache, { maxItems: 32, description: 'What is kept on the host beyond the job.' }),
    ),
    inputs: Type.Array(JobInput, { maxItems: 64, description: 'Data that is fetched.' }),
    preflight: Type.Optional(
      Type.Array(Preflight, { maxItems: 128, description: 'Looked for before any container runs.' }),
    ),
    services: Type.Array(JobService, { maxItems: maxTogether - 1, description: 'What runs beside the steps.' }),
    checks: Type.Array(RunOnce, { maxItems: 32, description: 'Run one after another before `init` and steps.' }),
    init: Type.Array(RunOnce, { maxItems: 32, description: 'Run one after another after the checks.' }),
    steps: Type.Array(JobStep, { minItems: 1, maxItems: maxSteps, description: 'The job proper.' }),
    outputs: Type.Array(JobOutput, { maxItems: 64, description: 'What is kept.' }),
    read_only_root: Type.Boolean({ description: 'True if containers can write to their volumes only.' }),
    network: Type.Enum(['none', 'bridge', 'allow_list'], {
      description:
        '`none`: no network at all. `bridge`: one of its own, with a way out and none in. `allow_list`: one of its own without any way out but a proxy that lets through what `egress` names.',
    }),
    egress: Type.Optional(JobEgress),
    signed_manifest: Type.Optional({
      ...SignedManifest,
      description:
        'What the job was promised to keep to. The host holds the plan against it, and decides whom it believes.',
    }),
    command_policy: Type.Optional(CommandPolicy),
    on_failure: Type.Enum(['stop', 'continue'], {
      description: 'Whether later groups run after a step that failed. The job has failed either way.',
    }),
    deadline_seconds: seconds('Most seconds from acceptance by the host to its end; then it is `expired`.'),
    stop_grace_seconds: Type.Integer({
      minimum: 0,
      maximum: 3600,
      description: 'Seconds between SIGTERM and SIGKILL where a container is stopped.',
    }),
    keep: Type.Boolean({ description: 'True if containers and volumes stay after the end, until they are removed.' }),
    log_limits: LogLimits,
  },
  { ...closed, description: 'A job, ready to be carried out.' },
);
export type JobPlan = Static<typeof JobPlan>;

/** A plan whose images all come from registries. */
export type PullingPlan = Omit<JobPlan, 'images'> & {
  images: (Omit<JobPlan['images'][number], 'source'> & { source: RegistryImage })[];
};

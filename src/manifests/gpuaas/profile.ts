/**
 * The workload profile: what an app version says about itself, as a manifest of kind `gpuaas.launchable_oci_workload`.
 *
 * The schema says what each field may be; `check-profile.ts` holds fields against each other. A profile describes what
 * people may choose and what the workload needs. It never holds an image address, a host path, a credential or the YAML
 * of an engine: there is no field for them.
 */
import { type Static, Type } from 'typebox';
import { ParameterSchema, parameterNamePattern } from './parameter-schema.ts';
import { Execution } from './profile-execution.ts';
import { closed, name, text, variableName } from './profile-fields.ts';
import { ProfileUi } from './profile-ui.ts';

export const profileKind = 'gpuaas.launchable_oci_workload';
export const profileVersion = 'v1';

export const exposureModes = ['private', 'platform_proxy'] as const;
export const storageModes = ['scratch', 'project_storage'] as const;
export const supportLevels = ['platform_curated', 'community', 'experimental'] as const;

const About = Type.Object(
  {
    kind: Type.Literal(profileKind, { description: 'Class of the app; decides how it is launched.' }),
    schema_version: Type.Literal(profileVersion, { description: 'Version of this schema.' }),
    slug: Type.String({
      pattern: '^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$',
      description: 'Name of the app in the catalog.',
    }),
    display_name: text(128, 'Name for people, on cards and pages.'),
    description: text(2048, 'What the app is, in a sentence or two.'),
    support_level: Type.Enum([...supportLevels], {
      description: 'Who stands for the app; shown as a badge.',
    }),
    launch_mode: Type.Literal('existing_allocation', {
      description: 'Where it is launched: on an allocation that the project has already.',
    }),
  },
  { ...closed, description: 'What the app is called and how it is launched.' },
);

const Artifact = Type.Object(
  {
    source: Type.Literal('platform_registry', { description: "Images come from the platform's own registry." }),
    artifact_name: Type.String({
      pattern: '^[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?$',
      description: 'Name under which the image is registered as an artifact.',
    }),
    digest_required: Type.Boolean({
      description: 'True: a launch needs an artifact with a digest. Nothing unpinned runs either way.',
    }),
    media_type: Type.Enum(['application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.index.v1+json'], {
      description: 'What the digest names: one image, or an index of images per platform.',
    }),
  },
  { ...closed, description: 'An image that this app can run from.' },
);

const Secret = Type.Object(
  {
    name: Type.String({ pattern: parameterNamePattern, description: 'Name of the secret, for example `hub_token`.' }),
    title: text(128, 'Label of the field.'),
    description: Type.Optional(text(1024, 'What it is needed for.')),
    file_env: Type.Optional(
      Type.String({
        pattern: variableName,
        description: 'Variable in which the app is told the path of the file with the secret.',
      }),
    ),
  },
  {
    ...closed,
    description: 'A secret that people may bring; given as a file in memory, and kept nowhere in the clear.',
  },
);

const Parameters = Type.Object(
  {
    schema: ParameterSchema,
    ui: Type.Optional(ProfileUi),
    secrets: Type.Optional(Type.Array(Secret, { maxItems: 16, description: 'Secrets of people. None is required.' })),
  },
  { ...closed, description: 'What people choose when they launch the app.' },
);

const Resources = Type.Object(
  {
    gpu: Type.Optional(
      Type.Object(
        {
          min_count: Type.Integer({ minimum: 0, maximum: 64, description: 'Fewest cards it works with.' }),
          default_count: Type.Integer({ minimum: 0, maximum: 64, description: 'Cards where nobody says otherwise.' }),
          placement: Type.Literal('allocation_local', { description: 'Cards come from the chosen allocation.' }),
        },
        { ...closed, description: 'GPUs.' },
      ),
    ),
    cpu: Type.Optional(
      Type.Object(
        { min_cores: Type.Number({ minimum: 0, maximum: 4096, description: 'Fewest cores it works with.' }) },
        { ...closed, description: 'Processor.' },
      ),
    ),
    memory: Type.Optional(
      Type.Object(
        { min_gib: Type.Number({ minimum: 0, maximum: 65536, description: 'Least memory it works with, in GiB.' }) },
        { ...closed, description: 'Memory.' },
      ),
    ),
  },
  { ...closed, description: 'What the app needs at least.' },
);

const StorageMount = Type.Object(
  {
    name: name('Name of the folder; the parameter `<name>_mount` chooses its mode.'),
    path: Type.String({
      maxLength: 512,
      pattern: '^/[^\\u0000]*$',
      description: 'Absolute path inside the container.',
    }),
    required: Type.Boolean({ description: 'True: it is always mounted. False: only where a mode is chosen.' }),
    modes: Type.Array(Type.Enum([...storageModes], { description: 'A kind of storage.' }), {
      minItems: 1,
      uniqueItems: true,
      description: 'Kinds of storage it may be; the first is the default.',
    }),
  },
  { ...closed, description: 'A folder that the app keeps data in.' },
);
export type StorageMount = Static<typeof StorageMount>;

export const EndpointAuth = Type.Object(
  {
    mode: Type.Enum(['generated_token', 'none'], {
      description: 'generated_token: the platform makes a token per instance. none: whoever reaches the port gets in.',
    }),
    token_file_env: Type.Optional(
      Type.String({
        pattern: variableName,
        description: 'Variable in which the app is told the path of the file with the token.',
      }),
    ),
    token_env: Type.Optional(
      Type.String({
        pattern: variableName,
        description: 'Variable that holds the token itself, for apps that cannot read a file: the engine stores it.',
      }),
    ),
    url_query: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z_][A-Za-z0-9_-]{0,63}$',
        description: 'Query parameter by which a browser brings the token, for example `token`.',
      }),
    ),
  },
  { ...closed, description: 'How the endpoint keeps strangers out.' },
);
export type EndpointAuth = Static<typeof EndpointAuth>;

const ProfileEndpoint = Type.Object(
  {
    name: name('Name of the endpoint, for example `web`.'),
    port: Type.Integer({ minimum: 1, maximum: 65535, description: 'Port that the app listens on in its container.' }),
    protocol: Type.Enum(['http', 'tcp'], { description: 'What is spoken there.' }),
    exposure_modes: Type.Array(Type.Enum([...exposureModes], { description: 'A way to be reached.' }), {
      minItems: 1,
      uniqueItems: true,
      description: 'Ways in which it may be reached.',
    }),
    auth: Type.Optional(EndpointAuth),
  },
  { ...closed, description: 'Where the app answers. What is not declared is not published.' },
);
export type ProfileEndpoint = Static<typeof ProfileEndpoint>;

const Outputs = Type.Object(
  {
    endpoints: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: name('Name that the instance shows it under.'),
            source: Type.String({
              pattern: '^network\\.endpoints\\.[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$',
              description: 'The declared endpoint: `network.endpoints.<name>`.',
            }),
          },
          { ...closed, description: 'An endpoint that people are shown.' },
        ),
        { maxItems: 32, description: 'Endpoints of a running instance.' },
      ),
    ),
    commands: Type.Optional(
      Type.Array(
        Type.Object(
          { name: name('Name of the command.'), command: text(512, 'Text to copy. It is shown and never executed.') },
          { ...closed, description: 'A command that people may want to type.' },
        ),
        { maxItems: 32, description: 'Commands for people.' },
      ),
    ),
  },
  { ...closed, description: 'What a running instance offers.' },
);

const Readiness = Type.Object(
  {
    name: name('Name of the check.'),
    type: Type.Literal('http', { description: 'Ready when a GET answers 2xx or 3xx.' }),
    endpoint: name('A declared http endpoint.'),
    path: Type.String({
      maxLength: 2048,
      pattern: '^/[\\u0021-\\u007e]*$',
      description: 'Path and query of the request.',
    }),
    bearer_env: Type.Optional(
      Type.String({
        pattern: variableName,
        description: 'The `token_env` of the endpoint: its token is sent as a bearer token.',
      }),
    ),
    timeout_seconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 7200,
        description: 'Seconds until the launch fails; 120 if absent. The parameter `start_timeout_seconds` wins.',
      }),
    ),
  },
  { ...closed, description: 'When the app is ready.' },
);

const Smoke = Type.Object(
  {
    name: name('Name of the check.'),
    type: Type.Literal('adapter_status', { description: 'Compares what the adapter reports.' }),
    status: Type.Literal('running', { description: 'State that an instance must reach.' }),
  },
  { ...closed, description: 'What must hold of a launched instance.' },
);

const Validation = Type.Object(
  {
    readiness: Type.Optional(Type.Array(Readiness, { maxItems: 16, description: 'All of them must pass.' })),
    smoke: Type.Optional(Type.Array(Smoke, { maxItems: 16, description: 'For tests of the whole way.' })),
  },
  { ...closed, description: 'How it is known that the app works.' },
);

export const WorkloadProfile = Type.Object(
  {
    profile: About,
    artifacts: Type.Record(Type.String({ pattern: '^(?!__proto__$)[a-z][a-z0-9_]{0,63}$' }), Artifact, {
      minProperties: 1,
      maxProperties: 32,
      additionalProperties: false,
      description: 'Images by name; `primary_image` must be among them.',
    }),
    parameters: Parameters,
    resources: Type.Optional(Resources),
    storage: Type.Optional(
      Type.Object(
        { mounts: Type.Array(StorageMount, { maxItems: 32, description: 'Folders.' }) },
        { ...closed, description: 'What the app needs to store. Where that lies is the platform’s business.' },
      ),
    ),
    network: Type.Optional(
      Type.Object(
        { endpoints: Type.Array(ProfileEndpoint, { maxItems: 32, description: 'Endpoints.' }) },
        { ...closed, description: 'Where the app answers.' },
      ),
    ),
    execution: Execution,
    outputs: Type.Optional(Outputs),
    validation: Type.Optional(Validation),
  },
  { ...closed, title: 'GPUaaS workload profile v1', description: 'Manifest of an app version that can be launched.' },
);
export type WorkloadProfile = Static<typeof WorkloadProfile>;

/** Params of `workload.oci_launch`: pull by digest, create, start, install packages, wait for readiness. */
import { type Static, Type } from 'typebox';
import { Identity, identifierPattern } from './identifiers.ts';
import { taggedUnion } from './tagged-union.ts';

const digestPattern = 'sha256:[0-9a-f]{64}';

export const RegistryImage = Type.Object(
  {
    kind: Type.Literal('registry', { description: 'The image is pulled from a registry.' }),
    reference: Type.String({
      maxLength: 512,
      description: 'Registry, repository and digest: `registry/repository@sha256:<64 hex>`. A tag is never accepted.',
    }),
    media_type: Type.Enum(
      [
        'application/vnd.oci.image.manifest.v1+json',
        'application/vnd.oci.image.index.v1+json',
        'application/vnd.docker.distribution.manifest.v2+json',
        'application/vnd.docker.distribution.manifest.list.v2+json',
      ],
      { description: 'Media type of what the digest names, as recorded on the artifact.' },
    ),
  },
  { additionalProperties: false, description: 'An image in a registry, pinned by digest.' },
);
export type RegistryImage = Static<typeof RegistryImage>;

const ImageId = Type.String({ pattern: `^${digestPattern}$`, description: "The engine's own image id." });

const Provenance = Type.Object(
  {
    source: Type.Enum(['build', 'import'], { description: 'How the image came to be on this host.' }),
    digest: Type.String({
      pattern: `^${digestPattern}$`,
      description: 'sha256 of what it was made from: build context or imported archive.',
    }),
  },
  { additionalProperties: false, description: 'Where the image came from; must be what the host has on record.' },
);

/** What a host has on record about an image that it built or imported itself. */
export const RecordedImage = Type.Object(
  { image_id: ImageId, provenance: Provenance },
  { additionalProperties: false, description: 'An image of this host, with where it came from.' },
);
export type RecordedImage = Static<typeof RecordedImage>;

export const LocalImage = Type.Object(
  {
    kind: Type.Literal('local', { description: 'The image was built or imported on this host.' }),
    image_id: ImageId,
    provenance: Provenance,
  },
  { additionalProperties: false, description: 'An image that this host made, pinned by its id.' },
);
export type LocalImage = Static<typeof LocalImage>;

export const ImageSource = taggedUnion('kind', [RegistryImage, LocalImage], 'What to run.');
export type ImageSource = Static<typeof ImageSource>;

export const Argument = Type.String({
  maxLength: 32768,
  pattern: '^[^\\u0000]*$',
  description: 'One argument, without NUL.',
});
export const absolutePath = '^/[^\\u0000]*$';

/** `__proto__` would be a fine variable name, but not a fine key of an object. */
export const EnvName = Type.String({ pattern: '^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]{0,127}$' });

export const Resources = Type.Object(
  {
    gpu_count: Type.Integer({ minimum: 0, maximum: 64, description: 'Cards for this workload alone.' }),
    cpu_cores: Type.Number({ minimum: 0.1, maximum: 4096, description: 'CPU time per second, in cores.' }),
    memory_gib: Type.Number({
      minimum: 0.0625,
      maximum: 65536,
      description: 'Memory limit in GiB (2^30 bytes). Swap is never added to it.',
    }),
    shm_gib: Type.Optional(
      Type.Number({
        minimum: 0.0625,
        maximum: 65536,
        description: 'Size of /dev/shm in GiB; 0.0625 (64 MiB) if absent.',
      }),
    ),
  },
  { additionalProperties: false, description: 'What the workload gets, and no more.' },
);
export type Resources = Static<typeof Resources>;

export const Mount = Type.Object(
  {
    name: Type.String({ pattern: identifierPattern, description: 'Name of the folder that is mounted.' }),
    path: Type.String({ maxLength: 512, pattern: absolutePath, description: 'Absolute path inside the container.' }),
    mode: Type.Enum(['scratch', 'project_storage'], {
      description: '`scratch` belongs to this instance and goes with it; `project_storage` is shared by the project.',
    }),
    read_only: Type.Boolean({ description: 'True if the workload may not write there.' }),
  },
  { additionalProperties: false, description: 'A folder of the allocation user, mounted into the container.' },
);
export type Mount = Static<typeof Mount>;

export const Port = Type.Object(
  {
    name: Type.String({ pattern: identifierPattern, description: 'Name of the endpoint, for example `web`.' }),
    container_port: Type.Integer({ minimum: 1, maximum: 65535, description: 'Port the workload listens on.' }),
    host_port: Type.Integer({
      minimum: 1024,
      maximum: 65535,
      description: 'Port on 127.0.0.1 of the host. Never reachable from elsewhere.',
    }),
    protocol: Type.Enum(['http', 'tcp'], { description: 'What is spoken there; both are TCP on the wire.' }),
  },
  { additionalProperties: false, description: 'An endpoint, published on the loopback address only.' },
);
export type Port = Static<typeof Port>;

const timeoutSeconds = Type.Integer({
  minimum: 1,
  maximum: 7200,
  description: 'Seconds from the start of probing until the launch fails with readiness.timed_out.',
});

export const HttpReadiness = Type.Object(
  {
    type: Type.Literal('http', { description: 'Ready when a GET answers 2xx or 3xx. Redirects are not followed.' }),
    endpoint: Type.String({ pattern: identifierPattern, description: 'Name of a declared port.' }),
    path: Type.String({
      maxLength: 2048,
      pattern: '^/[\\u0021-\\u007e]*$',
      description: 'Path and query of the request, beginning with `/`.',
    }),
    bearer_env: Type.Optional({
      ...EnvName,
      description: 'Name of a variable in `sealed_env` whose value is sent as a bearer token; without one, none is.',
    }),
    timeout_seconds: timeoutSeconds,
  },
  { additionalProperties: false, description: 'HTTP probe of a declared endpoint on the loopback address.' },
);

export const TcpReadiness = Type.Object(
  {
    type: Type.Literal('tcp', { description: 'Ready when the port accepts a connection and keeps it.' }),
    endpoint: Type.String({ pattern: identifierPattern, description: 'Name of a declared port.' }),
    timeout_seconds: timeoutSeconds,
  },
  { additionalProperties: false, description: 'TCP probe of a declared endpoint on the loopback address.' },
);

export const ReadinessCheck = taggedUnion(
  'type',
  [
    HttpReadiness,
    TcpReadiness,
    Type.Object(
      {
        type: Type.Literal('exec', { description: 'Ready when the command exits 0 inside the container.' }),
        command: Type.Array(Argument, { minItems: 1, maxItems: 256, description: 'Argument vector; no shell.' }),
        timeout_seconds: timeoutSeconds,
      },
      { additionalProperties: false, description: 'Command inside the container.' },
    ),
    Type.Object(
      {
        type: Type.Literal('container_health', {
          description: "Ready when the image's own health check says healthy.",
        }),
        timeout_seconds: timeoutSeconds,
      },
      { additionalProperties: false, description: "The image's HEALTHCHECK." },
    ),
  ],
  'When the workload is ready.',
);
export type ReadinessCheck = Static<typeof ReadinessCheck>;

export const RestartPolicy = Type.Object(
  {
    policy: Type.Enum(['no', 'on_failure', 'always'], {
      description: 'When the agent starts an ended workload again.',
    }),
    max_retries: Type.Integer({ minimum: 0, maximum: 100, description: 'Restarts in a row before it is left failed.' }),
  },
  { additionalProperties: false, description: "The agent's own restart policy; the engine's is always `no`." },
);
export type RestartPolicy = Static<typeof RestartPolicy>;

export const LogLimits = Type.Object(
  {
    max_size_mib: Type.Integer({ minimum: 1, maximum: 1024, description: 'Size of one log file in MiB.' }),
    max_files: Type.Integer({ minimum: 1, maximum: 20, description: 'Rotated files kept, the current one included.' }),
  },
  { additionalProperties: false, description: 'Bounds of what the engine keeps of the log.' },
);

/** A compact JWE (ECDH-ES on X25519, A256GCM) for the node's wrapping key. */
export const SealedValue = Type.String({
  maxLength: 262144,
  pattern: '^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$',
  description: "Compact JWE for this node's wrapping key. Opened in memory only.",
});

export const SealedEnv = Type.Record(EnvName, SealedValue, {
  maxProperties: 64,
  additionalProperties: false,
  description: 'Secret environment, for apps that cannot read a file. The engine stores the opened value.',
});

export const SealedFiles = Type.Record(
  Type.String({ pattern: '^/run/secrets/[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$' }),
  SealedValue,
  {
    maxProperties: 64,
    additionalProperties: false,
    description: 'Secret files, kept in memory and mounted read-only under /run/secrets.',
  },
);

export const Sandbox = Type.Enum(['runc', 'gvisor'], { description: 'Runtime class. Never replaced by another one.' });
export type Sandbox = Static<typeof Sandbox>;

export const WorkloadOciLaunchParams = Type.Object(
  {
    identity: Identity,
    image: ImageSource,
    command: Type.Optional(
      Type.Array(Argument, { maxItems: 1024, description: "Replaces the image's CMD. Argument vector; no shell." }),
    ),
    entrypoint: Type.Optional(
      Type.Array(Argument, { minItems: 1, maxItems: 256, description: "Replaces the image's ENTRYPOINT." }),
    ),
    env: Type.Record(EnvName, Type.String({ maxLength: 32768, pattern: '^[^\\u0000]*$' }), {
      maxProperties: 512,
      additionalProperties: false,
      description: 'Environment of the workload. Values are strings. Never for secrets: the engine stores it.',
    }),
    sealed_env: Type.Optional(SealedEnv),
    sealed_files: Type.Optional(SealedFiles),
    resources: Resources,
    mounts: Type.Array(Mount, { maxItems: 32, description: 'Folders of the workload.' }),
    ports: Type.Array(Port, { maxItems: 32, description: 'Endpoints of the workload.' }),
    python_packages: Type.Array(Type.String({ minLength: 1, maxLength: 256, description: 'One PEP 508 token.' }), {
      maxItems: 256,
      description: 'Installed into the environment of the container before it is ready; gone with the container.',
    }),
    readiness: Type.Array(ReadinessCheck, {
      maxItems: 16,
      description: 'All of them must pass before the state is running.',
    }),
    sandbox: Sandbox,
    restart: RestartPolicy,
    log_limits: LogLimits,
  },
  { additionalProperties: false, description: 'Pull, create, start, install packages, wait for readiness.' },
);
export type WorkloadOciLaunchParams = Static<typeof WorkloadOciLaunchParams>;

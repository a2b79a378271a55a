/**
 * What the operator of this host allows. It comes from the host's own configuration, never from a task: agent and gate
 * read it separately, so that a taken-over agent cannot widen it.
 */
import { type Static, Type } from 'typebox';
import { identifierPattern } from '../contract/identifiers.ts';
import { memberName } from '../contract/names.ts';
import { RecordedImage } from '../contract/workload-oci-launch.ts';

/** One registry and the repositories in it that may be used. */
export const AllowedRegistry = Type.Object(
  {
    host: Type.String({
      pattern: '^[a-z0-9.-]+(:[0-9]{1,5})?$',
      description: 'Registry host, lower case, with its port where it is not 443, for example `127.0.0.1:5000`.',
    }),
    prefixes: Type.Array(Type.String({ pattern: '^([a-z0-9._/-]+)?$' }), {
      minItems: 1,
      description:
        'Repository prefixes, matched at whole path segments: `curated` allows `curated/x`. Empty allows all.',
    }),
  },
  { additionalProperties: false, description: 'A registry that images may come from.' },
);
export type AllowedRegistry = Static<typeof AllowedRegistry>;

const octet = '(25[0-5]|2[0-4]\\d|1?\\d?\\d)';
/** 10/8, 172.16/12 and 192.168/16, and no range that reaches beyond them. */
const privateRangePattern = `^((10\\.${octet}|172\\.(1[6-9]|2\\d|3[01]))(\\.${octet}){2}/(1[2-9]|2[0-8])|192\\.168(\\.${octet}){2}/(1[6-9]|2[0-8]))$`;

export const HostPolicy = Type.Object(
  {
    node_id: Type.String({
      pattern: identifierPattern,
      description: 'Name of this host; tasks for another are refused.',
    }),
    allocation: Type.Object(
      {
        id: Type.String({ pattern: identifierPattern, description: 'The allocation this host serves.' }),
        uid: Type.Integer({ minimum: 1, maximum: 4294967294, description: 'User that workloads run as. Never 0.' }),
        gid: Type.Integer({
          minimum: 1,
          maximum: 4294967294,
          description: 'Primary group of that user. Never 0: a setgid file in its home would lend the group of root.',
        }),
        home: Type.String({
          pattern: '^/[^\\u0000]*[^/\\u0000]$',
          description: 'Home of that user. Workload data lives in `gpuaas/` below it, and nowhere else.',
        }),
      },
      { additionalProperties: false, description: 'Allocation and user of this host.' },
    ),
    registries: Type.Array(AllowedRegistry, { description: 'Where images may come from. Empty: nowhere.' }),
    local_images: Type.Array(RecordedImage, {
      description: 'Images of this host that may run although they came from no registry.',
    }),
    builds: Type.Optional(
      Type.Object(
        {
          cpu_cores: Type.Number({ minimum: 0.1, maximum: 4096, description: 'Cores that a build gets, at most.' }),
          memory_gib: Type.Number({
            minimum: 0.0625,
            maximum: 65536,
            description: 'GiB of memory that each of its commands gets.',
          }),
          context_gib: Type.Number({
            minimum: 0.001,
            maximum: 1024,
            description: 'GiB of files that a build may be of.',
          }),
          at_once: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 64,
              description: 'Builds at the same time, 1 if absent; others wait.',
            }),
          ),
          timeout_seconds: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 86_400,
              description: 'Most seconds that a build gets, whatever a plan says; 3600 if absent.',
            }),
          ),
          network: Type.Optional(
            Type.Enum(['none', 'bridge'], {
              description: 'With `bridge`, a build that asks for it has the network of its job; `none` if absent.',
            }),
          ),
        },
        {
          additionalProperties: false,
          description:
            'That images of jobs may be built here from Dockerfiles, by the runtime of the engine. Absent: they may not.',
        },
      ),
    ),
    payloads: Type.Optional(
      Type.Object(
        {
          max_gib: Type.Number({
            minimum: 0.001,
            maximum: 1024,
            description: 'GiB that such an image may have as it is downloaded.',
          }),
          unpacked_gib: Type.Number({
            minimum: 0.001,
            maximum: 4096,
            description: 'GiB that it may have unpacked.',
          }),
        },
        {
          additionalProperties: false,
          description:
            'That images may run here which jobs name by their hash and which are downloaded from any public address (GVMI of a computation payload manifest). Absent: they may not.',
        },
      ),
    ),
    caches: Type.Optional(
      Type.Object(
        {
          max_age_hours: Type.Integer({
            minimum: 0,
            description: 'Hours after its last use that a cache of a project, or an image built for it, is kept.',
          }),
        },
        {
          additionalProperties: false,
          description:
            'For how long a host keeps what jobs of projects may use again. Absent: until the disk of the engine is short.',
        },
      ),
    ),
    service_idle_seconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 604_800,
        description: 'Seconds that services stay which no job shares any more; 600 if absent.',
      }),
    ),
    project_storage: Type.Boolean({ description: 'True if this allocation offers project storage.' }),
    network_pool: Type.String({
      pattern: privateRangePattern,
      description: 'Private IPv4 range (RFC 1918) that workload networks are cut from, a /28 each.',
    }),
    approved_engines: Type.Array(Type.Enum(['docker', 'podman', 'nerdctl']), {
      description: 'Engines that workloads may run on.',
    }),
    sandboxes: Type.Object(
      {
        runc: Type.Optional(Type.String({ pattern: '^[a-z0-9-]{1,32}$', description: 'Engine runtime for runc.' })),
        gvisor: Type.Optional(Type.String({ pattern: '^[a-z0-9-]{1,32}$', description: 'Engine runtime for gVisor.' })),
      },
      {
        additionalProperties: false,
        description:
          'Engine runtime that stands for a sandbox name: `{"runc": "runc", "gvisor": "runsc"}`. Absent: not offered.',
      },
    ),
    gvisor_cards: Type.Optional(
      Type.Boolean({
        description: 'True if containers under gVisor may have NVIDIA cards, by its nvproxy; false if absent.',
      }),
    ),
    reserves: Type.Object(
      {
        cpu_cores: Type.Number({ minimum: 0, description: 'Cores kept for the system.' }),
        memory_gib: Type.Number({ minimum: 0, description: 'GiB of memory kept for the system.' }),
        disk_gib: Type.Number({ minimum: 0, description: "GiB that must stay free on the engine's disk." }),
      },
      { additionalProperties: false, description: 'What workloads never get.' },
    ),
    limits: Type.Object(
      {
        pids: Type.Integer({ minimum: 16, maximum: 4194304, description: 'Processes and threads of one workload.' }),
        open_files: Type.Integer({ minimum: 256, maximum: 1048576, description: 'Open files of one process.' }),
      },
      { additionalProperties: false, description: 'Bounds of every workload, whatever the task says.' },
    ),
    secrets_dir: Type.String({
      pattern: '^/[^\\u0000]*[^/\\u0000]$',
      description:
        'Folder on a memory file system for opened secret files, one folder per instance or service below it.',
    }),
    inputs: Type.Object(
      {
        dir: Type.String({
          pattern: '^/[^\\u0000]*[^/\\u0000]$',
          description:
            'Folder for what jobs fetch: `cache`, and `jobs/<job>/<volume>`. Only root may be able to change the way to it.',
        }),
        max_gib: Type.Number({ minimum: 0, description: 'GiB that the cache may take; what is older goes first.' }),
        max_age_hours: Type.Integer({ minimum: 0, description: 'Hours after its last use that something is kept.' }),
        allow: Type.Array(Type.String({ pattern: '^[0-9A-Za-z.:\\[\\]-]{1,255}(/[0-9]{1,3})?$' }), {
          description:
            'Private places that inputs may come from, over plain http too: `host:port`, or a range `10.0.0.0/8`.',
        }),
        endpoints: Type.Object(
          {
            huggingface: Type.Optional(
              Type.String({ pattern: '^https?://[^/?#@\\s]+/?$', description: 'Origin of a Hugging Face hub.' }),
            ),
            ollama: Type.Optional(
              Type.String({ pattern: '^https?://[^/?#@\\s]+/?$', description: 'Origin of an Ollama registry.' }),
            ),
          },
          { additionalProperties: false, description: 'Mirrors in the place of the public ones.' },
        ),
      },
      { additionalProperties: false, description: 'What jobs fetch before they run.' },
    ),
    egress: Type.Optional(
      Type.Object(
        {
          allow: Type.Array(Type.String({ pattern: '^[0-9A-Za-z.:\\[\\]-]{1,255}(/[0-9]{1,3})?$' }), {
            maxItems: 256,
            description:
              'Private places that jobs may reach where their lists name them: `host:port`, or a range `10.0.0.0/8`.',
          }),
          name_servers: Type.Optional(
            Type.Array(Type.String({ pattern: '^[0-9a-fA-F.:]{2,45}$' }), {
              minItems: 1,
              maxItems: 3,
              description: 'Addresses of the name servers that proxies of jobs ask; those of the host if absent.',
            }),
          ),
        },
        {
          additionalProperties: false,
          description: 'What jobs with a list of addresses may reach beside what is public. Absent: nothing.',
        },
      ),
    ),
  },
  { additionalProperties: false, description: 'What the operator allows on this host.' },
);
export type HostPolicy = Static<typeof HostPolicy>;

/** What bounds the builds of a host, with what its operator has left unsaid. */
export function buildLimits({
  at_once = 1,
  timeout_seconds = 3600,
  network = 'none',
  ...rest
}: NonNullable<HostPolicy['builds']>) {
  return { ...rest, at_once, timeout_seconds, network };
}

/** Root of the data of one workload; each scratch mount is one folder below it. */
export function workloadRoot(policy: HostPolicy, appInstanceId: string): string {
  return `${policy.allocation.home}/gpuaas/workloads/${appInstanceId}`;
}

/** Root of the storage that the workloads of one project share. */
export function projectRoot(policy: HostPolicy, projectId: string): string {
  return `${policy.allocation.home}/gpuaas/projects/${projectId}`;
}

/** Where all data of the allocation lies. */
export function dataRoots({ allocation: { home } }: HostPolicy): readonly string[] {
  return [`${home}/gpuaas/workloads`, `${home}/gpuaas/projects`];
}

/** Folder of the opened secret files of one workload, or of one service of it. */
export function secretsRoot(policy: HostPolicy, appInstanceId: string, service?: string): string {
  return `${policy.secrets_dir}/${memberName(appInstanceId, service)}`;
}

/** Folders for the inputs of one job, one per volume that inputs are put into. */
export function jobInputsRoot(policy: Pick<HostPolicy, 'inputs'>, jobId: string): string {
  return `${policy.inputs.dir}/jobs/${jobId}`;
}

/** What this host has on record about the image of that id; undefined for one that may not run by its id. */
export function recordedImage({ local_images }: HostPolicy, imageId: string): RecordedImage | undefined {
  return local_images.find(({ image_id }) => image_id === imageId);
}

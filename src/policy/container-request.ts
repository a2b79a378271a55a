/**
 * The create request that we send to the engine: the exact subset of its API that a workload may use.
 *
 * This schema is the allow-list. A key that is not in it is refused at the gate, whoever sent it, so an engine option
 * that a later engine version brings is off until somebody adds it here on purpose. Field names are the engine's
 * (Docker Engine API 1.41, `POST /containers/create`).
 */
import { type Static, Type } from 'typebox';
import { taggedUnion } from '../contract/tagged-union.ts';

const closed = { additionalProperties: false } as const;
/** Beyond this a number is not the one that was written. What the host has is the gate's to say. */
const Amount = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const Nanoseconds = Type.Integer({ minimum: 1e9, maximum: 1e13, description: 'From a second to hours.' });
const Text = Type.String({ maxLength: 65536, pattern: '^[^\\u0000]*$' });

export const BindMount = Type.Object(
  {
    Type: Type.Literal('bind'),
    Source: Type.String({ maxLength: 4096, pattern: '^/[^\\u0000]*$' }),
    Target: Type.String({ maxLength: 4096, pattern: '^/[^\\u0000]*$' }),
    ReadOnly: Type.Boolean(),
    BindOptions: Type.Object({ Propagation: Type.Literal('rprivate') }, closed),
  },
  { ...closed, description: 'A folder that the gate prepared. Never `Binds`: those create missing folders as root.' },
);
export type BindMount = Static<typeof BindMount>;

/** Lower case only: a UUID that is written in two ways would be two cards to whoever compares them. */
const cardUuid = '(GPU|MIG)-[0-9a-z-]{1,64}';

const cardsByDriver = (driver: string, idPattern: string, capabilities: readonly string[]) =>
  Type.Object(
    {
      Driver: Type.Literal(driver),
      DeviceIDs: Type.Array(Type.String({ pattern: `^${idPattern}$` }), {
        ...{ minItems: 1, maxItems: 64, uniqueItems: true },
      }),
      Capabilities: Type.Array(
        Type.Array(Type.Enum([...capabilities]), {
          ...{ minItems: capabilities.length, maxItems: capabilities.length, uniqueItems: true },
        }),
        { minItems: 1, maxItems: 1 },
      ),
    },
    closed,
  );

export const CardDeviceRequest = taggedUnion(
  'Driver',
  [
    cardsByDriver('nvidia', cardUuid, ['gpu', 'compute', 'utility']),
    cardsByDriver('cdi', `nvidia\\.com/gpu=${cardUuid}`, ['gpu']),
  ],
  'NVIDIA cards by UUID. Never a count, never an index, never `all`.',
);

/** A device of an AMD card, at its own place. */
export const CardDevice = Type.Object(
  {
    PathOnHost: Type.String({ pattern: '^/dev/(kfd|dri/renderD[1-9][0-9]{2,3})$' }),
    PathInContainer: Type.String({ pattern: '^/dev/(kfd|dri/renderD[1-9][0-9]{2,3})$' }),
    CgroupPermissions: Type.Literal('rw'),
  },
  closed,
);

/** What every container has at the top of its request. */
const top = {
  Image: Type.String({ maxLength: 512 }),
  Env: Type.Array(Text, { maxItems: 1024, description: 'NAME=value; a bare NAME removes what the image set.' }),
  Cmd: Type.Optional(Type.Array(Text, { maxItems: 1024 })),
  Entrypoint: Type.Optional(Type.Array(Text, { maxItems: 256 })),
  ExposedPorts: Type.Record(Type.String({ pattern: '^[0-9]{1,5}/tcp$' }), Type.Object({}, closed), closed),
};

/** What every container has below `HostConfig`. */
const host = {
  PortBindings: Type.Record(
    Type.String({ pattern: '^[0-9]{1,5}/tcp$' }),
    Type.Array(
      Type.Object({ HostIp: Type.Literal('127.0.0.1'), HostPort: Type.String({ pattern: '^[0-9]{4,5}$' }) }, closed),
      { minItems: 1, maxItems: 1 },
    ),
    closed,
  ),
  NanoCpus: Amount,
  Memory: Amount,
  MemorySwap: Amount,
  PidsLimit: Type.Integer({ minimum: 1 }),
  ShmSize: Amount,
  Ulimits: Type.Array(
    Type.Object({ Name: Type.Enum(['nofile', 'core']), Soft: Type.Integer(), Hard: Type.Integer() }, closed),
    { minItems: 2, maxItems: 2 },
  ),
  SecurityOpt: Type.Array(Type.Literal('no-new-privileges'), { minItems: 1, maxItems: 1 }),
  DeviceRequests: Type.Optional(Type.Array(CardDeviceRequest, { minItems: 1, maxItems: 1 })),
  Devices: Type.Optional(Type.Array(CardDevice, { minItems: 2, maxItems: 65 })),
  GroupAdd: Type.Optional(
    Type.Array(Type.String({ pattern: '^[1-9][0-9]{0,9}$' }), { minItems: 1, maxItems: 64, uniqueItems: true }),
  ),
  Init: Type.Literal(true),
  Privileged: Type.Literal(false),
  IpcMode: Type.Literal('private'),
  CgroupnsMode: Type.Literal('private'),
  Runtime: Type.String(),
  RestartPolicy: Type.Object({ Name: Type.Literal('no') }, closed),
  LogConfig: Type.Object(
    {
      Type: Type.Literal('json-file'),
      Config: Type.Object(
        {
          'max-size': Type.String({ pattern: '^[1-9][0-9]{0,3}m$' }),
          'max-file': Type.String({ pattern: '^[1-9][0-9]?$' }),
        },
        closed,
      ),
    },
    closed,
  ),
};

/** What the request of a job is put together from as well. */
export const requestParts = { top, host, BindMount, Text } as const;

export const ContainerRequest = Type.Object(
  {
    ...top,
    User: Type.String({ pattern: '^[0-9]+:[0-9]+$' }),
    Labels: Type.Record(
      Type.String({
        pattern:
          '^(gpuaas\\.(instance|project|allocation|task|service|gpus|spec|fencing|endpoints|restart|readiness)' +
          '|com\\.docker\\.compose\\.(config-hash|container-number|depends_on|image|oneoff|service|version' +
          '|project(\\.(config_files|environment_file|working_dir))?))$',
        description: 'Ours, and those by which Compose finds the containers of a project. The latter prove nothing.',
      }),
      Text,
      closed,
    ),
    Healthcheck: Type.Optional(
      Type.Object(
        {
          Test: Type.Array(Text, { minItems: 1, maxItems: 65, description: '`NONE` alone, or `CMD` and what to run.' }),
          Interval: Type.Optional(Nanoseconds),
          Timeout: Type.Optional(Nanoseconds),
          StartPeriod: Type.Optional(Nanoseconds),
          Retries: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
        },
        {
          ...closed,
          description:
            "Absent to keep the image's own health check. With `CMD`, nothing is left to the engine's defaults.",
        },
      ),
    ),
    StopSignal: Type.Optional(Type.Literal('SIGTERM')),
    HostConfig: Type.Object(
      {
        Mounts: Type.Array(BindMount, { maxItems: 40 }),
        ...host,
        NetworkMode: Type.String({ pattern: '^gpuaas-[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$' }),
        CapDrop: Type.Array(Type.Literal('ALL'), { minItems: 1, maxItems: 1 }),
      },
      {
        ...closed,
        description: 'Limits and isolation. Other devices, namespaces, sysctls, volumes: not in the list, so refused.',
      },
    ),
    NetworkingConfig: Type.Optional(
      Type.Object(
        {
          EndpointsConfig: Type.Record(
            Type.String({ maxLength: 128 }),
            Type.Object({ Aliases: Type.Array(Text, { maxItems: 8 }) }, closed),
            { ...closed, minProperties: 1, maxProperties: 1 },
          ),
        },
        { ...closed, description: 'Names in the one network. The gate writes those of a service itself.' },
      ),
    ),
  },
  { ...closed, description: 'Create request of a workload container.' },
);
export type ContainerRequest = Static<typeof ContainerRequest>;

/** What the engine knows about an image and the policy must know before a container of it may be made. */
export interface ImageFacts {
  /** The engine's image id, `sha256:…`. */
  readonly id: string;
  /** `repository@sha256:…` under which the engine verified the image; empty for a local one. */
  readonly repoDigests: readonly string[];
  /** `NAME=value` as the image sets them. */
  readonly env: readonly string[];
  /** Paths the image declares as volumes. */
  readonly volumes: readonly string[];
  /** Folder the image's program starts in; empty for the root. The engine makes it, as root, where it is missing. */
  readonly workingDir: string;
  readonly hasHealthcheck: boolean;
  /** Projects that this host has built it for, and no other may run it. */
  readonly builtFor?: readonly string[];
  /** Version of the engine that has built it. */
  readonly builtBy?: string;
}

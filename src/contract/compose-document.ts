/**
 * The document of a stack: the part of the Compose file format that a workload may use, and no more.
 *
 * The control plane renders it, nobody writes it by hand, and `docker compose config` accepts it as it stands. A key that
 * is not here is refused, whoever sent it. What only the host can say (cards, folders, network, user, limits of the
 * operator, names and labels) is not in it: the agent fills that in (`policy/render-stack.ts`). Texts mean themselves: `$`
 * is never a variable.
 */
import { type Static, Type } from 'typebox';
import { identifierPattern } from './identifiers.ts';
import { Argument, absolutePath, EnvName } from './workload-oci-launch.ts';

const closed = { additionalProperties: false } as const;

/** Most services of a stack: as many addresses as its network, a /28, has beside its own, the gateway's and the broadcast. */
export const maxServices = 13;

/** A DNS label: services find each other by it. `gpuaas-<instance>.<service>` is the container. */
export const serviceNamePattern = '^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$';
export const ServiceName = Type.String({
  pattern: serviceNamePattern,
  description: 'Name of a service, by which the others of the stack reach it: lower-case letters, digits and dashes.',
});

const seconds = (description: string) => Type.String({ pattern: '^[1-9][0-9]{0,3}s$', description });

const ComposePort = Type.Object(
  {
    name: Type.String({ pattern: identifierPattern, description: 'Name of the endpoint, for example `api`.' }),
    target: Type.Integer({ minimum: 1, maximum: 65535, description: 'Port that the service listens on.' }),
    published: Type.Integer({
      minimum: 1024,
      maximum: 65535,
      description: 'Port on 127.0.0.1 of the host. Never reachable from elsewhere.',
    }),
    host_ip: Type.Literal('127.0.0.1', { description: 'The loopback address, and no other.' }),
    protocol: Type.Literal('tcp', { description: 'Both endpoint protocols are TCP on the wire.' }),
    app_protocol: Type.Enum(['http', 'tcp'], { description: 'What is spoken there.' }),
    mode: Type.Literal('host', { description: 'Published on the host itself.' }),
  },
  { ...closed, description: 'An endpoint of the stack, published on the loopback address only.' },
);

const ComposeMount = Type.Object(
  {
    type: Type.Literal('volume', { description: 'A volume of this document.' }),
    source: Type.String({ pattern: identifierPattern, description: 'Name of a volume of this document.' }),
    target: Type.String({ maxLength: 512, pattern: absolutePath, description: 'Absolute path inside the container.' }),
    read_only: Type.Boolean({ description: 'True if the service may not write there.' }),
  },
  { ...closed, description: 'A folder of the allocation user, mounted into the container.' },
);

const ComposeHealthcheck = Type.Object(
  {
    test: Type.Array(Argument, {
      minItems: 2,
      maxItems: 64,
      description: '`CMD` and the argument vector; no shell. Healthy when it exits 0.',
    }),
    interval: seconds('Time between two checks, for example `10s`.'),
    timeout: seconds('Time that one check may take.'),
    retries: Type.Integer({ minimum: 1, maximum: 100, description: 'Failures in a row that make it unhealthy.' }),
    start_period: seconds('Time after the start in which failures do not count.'),
  },
  { ...closed, description: 'How the engine tells whether the service is well.' },
);

const GpuReservation = Type.Object(
  {
    capabilities: Type.Array(Type.Literal('gpu', { description: 'Cards.' }), {
      minItems: 1,
      maxItems: 1,
      description: 'What is asked for: cards.',
    }),
    count: Type.Integer({
      minimum: 1,
      maximum: 64,
      description: 'Cards for this service alone. Which ones is the ledger of the host to say.',
    }),
  },
  { ...closed, description: 'Cards of the service.' },
);

const Deploy = Type.Object(
  {
    resources: Type.Object(
      {
        reservations: Type.Object(
          {
            devices: Type.Array(GpuReservation, { minItems: 1, maxItems: 1, description: 'Cards of the service.' }),
          },
          { ...closed, description: 'What is kept for the service.' },
        ),
      },
      { ...closed, description: 'What is kept for the service.' },
    ),
  },
  { ...closed, description: 'Present for a service with cards only.' },
);

export const ComposeService = Type.Object(
  {
    image: Type.String({
      maxLength: 512,
      description: 'Registry, repository and digest: `registry/repository@sha256:<64 hex>`. A tag is never accepted.',
    }),
    entrypoint: Type.Optional(
      Type.Array(Argument, { minItems: 1, maxItems: 256, description: "Replaces the image's ENTRYPOINT." }),
    ),
    command: Type.Optional(
      Type.Array(Argument, { maxItems: 1024, description: "Replaces the image's CMD. Argument vector; no shell." }),
    ),
    environment: Type.Optional(
      Type.Record(EnvName, Type.String({ maxLength: 32768, pattern: '^[^\\u0000]*$' }), {
        maxProperties: 512,
        ...closed,
        description: 'Environment of the service. Values are strings. Never for secrets: the document is kept.',
      }),
    ),
    ports: Type.Optional(Type.Array(ComposePort, { maxItems: 32, description: 'Endpoints that it serves.' })),
    volumes: Type.Optional(Type.Array(ComposeMount, { maxItems: 32, description: 'Folders that it uses.' })),
    cpus: Type.Number({ minimum: 0.1, maximum: 4096, description: 'CPU time per second, in cores.' }),
    mem_limit: Type.Integer({
      minimum: 2 ** 26,
      maximum: 2 ** 46,
      description: 'Memory limit in bytes. Swap is never added to it.',
    }),
    shm_size: Type.Optional(
      Type.Integer({ minimum: 2 ** 26, maximum: 2 ** 46, description: 'Size of /dev/shm in bytes; 64 MiB if absent.' }),
    ),
    deploy: Type.Optional(Deploy),
    depends_on: Type.Optional(
      Type.Record(
        ServiceName,
        Type.Object(
          {
            condition: Type.Enum(['service_started', 'service_healthy', 'service_completed_successfully'], {
              description: 'What must be true of the other one before this one is started.',
            }),
          },
          { ...closed, description: 'How far the other service must be.' },
        ),
        { minProperties: 1, maxProperties: maxServices, ...closed, description: 'Services that come first.' },
      ),
    ),
    healthcheck: Type.Optional(ComposeHealthcheck),
  },
  { ...closed, description: 'One service: one container.' },
);
export type ComposeService = Static<typeof ComposeService>;

export const ComposeDocument = Type.Object(
  {
    services: Type.Record(ServiceName, ComposeService, {
      minProperties: 1,
      maxProperties: maxServices,
      ...closed,
      description: 'The services by name.',
    }),
    volumes: Type.Optional(
      Type.Record(
        Type.String({ pattern: identifierPattern }),
        Type.Object(
          {
            'x-gpuaas': Type.Object(
              {
                mode: Type.Enum(['scratch', 'project_storage'], {
                  description:
                    '`scratch` belongs to this instance and goes with it; `project_storage` is shared by the project.',
                }),
              },
              { ...closed, description: 'What Compose has no word for.' },
            ),
          },
          { ...closed, description: 'A folder of the allocation user. Never a volume of the engine.' },
        ),
        { maxProperties: 32, ...closed, description: 'Folders of the stack by name.' },
      ),
    ),
  },
  { ...closed, description: 'A stack as the Compose file format writes it, pinned by digest.' },
);
export type ComposeDocument = Static<typeof ComposeDocument>;

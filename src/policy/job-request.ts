/**
 * The create request of a container of a job: the same subset of the engine's API as that of a workload, but for what makes it
 * a job's. It runs as the image's own user, who may be root, with less than the engine's usual capabilities; it has volumes of
 * its job and no folder of the allocation's user; and nothing of it is ever a secret file.
 */
import { type Static, Type } from 'typebox';
import { taggedUnion } from '../contract/tagged-union.ts';
import { cacheVolumePattern } from './caches.ts';
import { type ContainerRequest, requestParts } from './container-request.ts';

const closed = { additionalProperties: false } as const;
const { top, host, BindMount, Text } = requestParts;
const maxPath = 4096;

/** An engine volume of the job, or a cache. Made by the gate: an engine that makes a missing one by itself makes it without a seal. */
const VolumeMount = Type.Object(
  {
    Type: Type.Literal('volume'),
    Source: Type.String({
      pattern: `^(gpuaas-[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}\\.[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}|${cacheVolumePattern})$`,
    }),
    Target: Type.String({ maxLength: maxPath, pattern: '^/[^\\u0000]*$' }),
    ReadOnly: Type.Boolean(),
  },
  { ...closed, description: "No driver, no option, no label: those are the gate's." },
);

/** Where names are asked for that are none of the network: the container itself, where nobody answers. */
export const nowhere = '127.0.0.1';

/** Capabilities of the engine's usual set that no container of a job has. In the order in which engines write them. */
export const jobCapDrop = ['MKNOD', 'NET_RAW', 'SETFCAP', 'SYS_CHROOT'] as const;
const [mknod, netRaw, setfcap, sysChroot] = jobCapDrop;

export const JobContainerRequest = Type.Object(
  {
    ...top,
    User: Type.Literal('', { description: 'The one of the image.' }),
    WorkingDir: Type.Optional(Type.String({ minLength: 1, maxLength: maxPath, pattern: '^/[^\\u0000]*$' })),
    Labels: Type.Record(
      Type.String({
        pattern:
          '^gpuaas\\.(instance|project|allocation|task|service|gpus|spec|fencing|endpoints|restart|kind|aliases|revision|shared|peers|caches)$',
      }),
      Text,
      closed,
    ),
    Healthcheck: Type.Object({ Test: Type.Tuple([Type.Literal('NONE')]) }, closed),
    HostConfig: Type.Object(
      {
        ...host,
        Mounts: Type.Array(taggedUnion('Type', [VolumeMount, BindMount], 'Data of the job.'), { maxItems: 40 }),
        NetworkMode: Type.String({ pattern: '^(none|gpuaas-[a-zA-Z0-9][a-zA-Z0-9_-]{0,63})$' }),
        CapDrop: Type.Tuple([
          Type.Literal(mknod),
          Type.Literal(netRaw),
          Type.Literal(setfcap),
          Type.Literal(sysChroot),
        ]),
        ReadonlyRootfs: Type.Optional(Type.Literal(true)),
        Dns: Type.Optional(
          Type.Tuple([Type.Literal(nowhere)], {
            description: 'In a network without a way out: the engine would ask name servers for whoever cannot.',
          }),
        ),
      },
      { ...closed, description: 'Limits and isolation, as of a workload.' },
    ),
  },
  { ...closed, description: 'Create request of a container of a job.' },
);
export type JobContainerRequest = Static<typeof JobContainerRequest>;

/** Whatever the gate may be asked to create. */
export type AnyContainerRequest = ContainerRequest | JobContainerRequest;

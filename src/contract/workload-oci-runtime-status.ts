/** Params and output of `workload.oci_runtime_status`: a probe that changes nothing. */

import { type Static, Type } from 'typebox';
import { Gpu } from './gpus.ts';
import { Identifier } from './identifiers.ts';
import { planParts } from './plan-parts.ts';

export const WorkloadOciRuntimeStatusParams = Type.Object(
  {},
  { additionalProperties: false, description: 'The probe needs no parameter.' },
);
export type WorkloadOciRuntimeStatusParams = Static<typeof WorkloadOciRuntimeStatusParams>;

export const runtimeNames = ['docker', 'podman', 'nerdctl'] as const;

export const RuntimeProbe = Type.Object(
  {
    name: Type.Enum([...runtimeNames], { description: 'Which runtime this is about.' }),
    state: Type.Enum(['not_installed', 'not_running', 'no_permission', 'ready'], {
      description:
        'not_installed: no program found. not_running: nobody answers. no_permission: it answers others, not us.',
    }),
    found: Type.Union([Type.String(), Type.Null()], { description: 'Path of the program; null if it was not found.' }),
    searched: Type.Array(Type.String(), { description: 'Folders that were searched: PATH, then the known places.' }),
    version: Type.Union([Type.String(), Type.Null()], {
      description: 'Version it reports; null if it does not answer.',
    }),
    approved: Type.Boolean({ description: 'True if host policy allows workloads on it.' }),
    reason: Type.Union([Type.String(), Type.Null()], { description: 'Why it cannot be used; null if it can.' }),
  },
  { additionalProperties: false, description: 'One container runtime of the host.' },
);
export type RuntimeProbe = Static<typeof RuntimeProbe>;

const amountParts = (used: string) => ({
  total: Type.Number({ description: 'What the host has.' }),
  reserved: Type.Number({ description: 'What host policy keeps for the system.' }),
  used: Type.Number({ description: used }),
  free: Type.Number({ description: 'What a launch may still ask for.' }),
});
const amount = (description: string, used: string) =>
  Type.Object(amountParts(used), { additionalProperties: false, description });
const promised = 'What workloads of ours are promised.';

export const WorkloadOciRuntimeStatusOutput = Type.Object(
  {
    ready: Type.Boolean({ description: 'True if a launch could run now.' }),
    reasons: Type.Array(Type.String(), { description: 'Why not, one sentence each; empty when ready.' }),
    probed_at: Type.String({ description: 'RFC 3339 time of the probe.' }),
    runtimes: Type.Array(RuntimeProbe, { description: 'docker, podman and nerdctl, in this order.' }),
    compose_version: Type.Union([Type.String(), Type.Null()], {
      description: 'Version of Compose v2; null if absent.',
    }),
    engine: Type.Union(
      [
        Type.Object(
          {
            version: Type.String({ description: 'Version of the engine that workloads run on.' }),
            api_version: Type.String({ description: 'Its API version.' }),
            runtimes: Type.Array(Type.String(), { description: 'OCI runtimes it knows: runc, nvidia, runsc, …' }),
            storage_driver: Type.String({ description: 'Storage driver, for example overlay2.' }),
            cgroup_driver: Type.String({ description: 'cgroupfs or systemd.' }),
            cgroup_version: Type.String({ description: '1 or 2.' }),
            root_dir: Type.String({ description: 'Where it keeps images and containers.' }),
            gives_cards: Type.Optional(
              Type.Union([Type.Enum(['cdi', 'nvidia_ids']), Type.Null()], {
                description:
                  "How it hands NVIDIA cards to containers: by the names in the host's CDI specs, or by their ids with the hook of NVIDIA's toolkit; null: it cannot. Absent on a host without such cards, and from agents before this was said.",
              }),
            ),
          },
          { additionalProperties: false, description: 'The engine behind the gate.' },
        ),
        Type.Null(),
      ],
      { description: 'Facts about the engine; null when it does not answer.' },
    ),
    offers: Type.Optional(
      Type.Object(
        {
          sandboxes: Type.Array(Type.String(), { description: 'Sandboxes of host policy that the engine has.' }),
          builds: Type.Boolean({ description: 'True if host policy lets images be built here.' }),
          build_network: Type.Optional(
            Type.Boolean({
              description:
                'True if a build that asks for it has the network of its job. Absent from agents that give none.',
            }),
          ),
          gvisor_cards: Type.Optional(
            Type.Boolean({
              description:
                'True if containers under gVisor get NVIDIA cards here. Absent from agents that give them none.',
            }),
          ),
          downloads: Type.Optional(
            Type.Boolean({
              description:
                'True if images may run here that are downloaded by their hash. Absent from agents that take none.',
            }),
          ),
          plans: Type.Optional(
            Type.Array(Type.String({ pattern: '^[a-z_]{1,64}$', description: 'Name of a part.' }), {
              maxItems: 64,
              description: `Parts of a plan that agents did not always carry out, and this one does, of ${planParts.join(', ')} and what is added later; absent from agents before this was said, which refuse them.`,
            }),
          ),
        },
        { additionalProperties: false, description: 'What jobs may ask for; absent from agents before this was said.' },
      ),
    ),
    gpus: Type.Array(Gpu, { maxItems: 128, description: 'Cards of the host; empty without a driver.' }),
    resources: Type.Object(
      {
        cpu_cores: amount('Processors, in cores.', promised),
        memory_gib: amount('Memory, in GiB (2^30 bytes).', promised),
        disk_gib: Type.Object(
          {
            ...amountParts('What is written there now, by anybody.'),
            evictable: Type.Optional(
              Type.Number({
                description:
                  'What a job may have beyond what is free: caches and built images that nothing uses make room for it. Absent from agents that make none.',
              }),
            ),
            held: Type.Optional(
              Type.Record(
                Identifier,
                Type.Number({ minimum: 0, description: 'What it asked for, without what it has there already.' }),
                {
                  description:
                    'What each job at work that asked for disk may write yet, of what is free. Absent from agents that hold none.',
                },
              ),
            ),
          },
          { additionalProperties: false, description: "The engine's disk, in GiB (2^30 bytes)." },
        ),
      },
      { additionalProperties: false, description: 'What the host has and what is left of it.' },
    ),
  },
  { additionalProperties: false, description: 'Whether, and with what, this host can run containers.' },
);
export type WorkloadOciRuntimeStatusOutput = Static<typeof WorkloadOciRuntimeStatusOutput>;

/** What an instance consists of, to be drawn: the shape that its manifest declares, with what its host says of each part. */
import { type Static, Type } from 'typebox';
import { GpuUuid } from '../../contract/gpus.ts';
import { WorkloadState } from '../../contract/workload-state.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { AppInstance } from '../db/entities/app-instance.ts';

const closed = { additionalProperties: false } as const;
const names = (description: string) => Type.Array(Type.String(), { description });

const Service = Type.Object(
  {
    name: Type.String({ description: 'Name of the service; `main` for a single container.' }),
    role: Type.String({ description: 'What it does.' }),
    endpoints: names('Endpoints that it serves.'),
    mounts: names('Folders that it uses.'),
    state: Type.Union([WorkloadState, Type.Null()], { description: 'As its host last said; null before that.' }),
    health: Type.Union([Type.String(), Type.Null()], { description: 'What its health check says; null without one.' }),
    restarts: Type.Integer({ minimum: 0, description: 'Restarts since the launch.' }),
    gpus: Type.Array(GpuUuid, { description: 'Cards that it holds.' }),
  },
  { ...closed, description: 'One service.' },
);

export const InstanceTopology = Type.Object(
  {
    description: Type.String({ description: 'The shape in a sentence.' }),
    services: Type.Array(Service, { description: 'What it consists of, in the order of the manifest.' }),
    members: { ...AppInstance.properties.members, description: 'What runs of it, as the host reports it.' },
  },
  { ...closed, description: 'What an instance consists of, to be drawn. Nothing of how an engine was told.' },
);
export type InstanceTopology = Static<typeof InstanceTopology>;

/** A part that is declared and never reported has no state; one that is reported and not declared is a member only. */
export function topologyOf({ members }: AppInstance, profile: WorkloadProfile | undefined): InstanceTopology {
  const { description, services } = shapeOf(profile);
  return {
    description,
    services: services.map((service) => {
      const member = members.find(({ name }) => name === service.name);
      return {
        ...service,
        ...{ state: member?.state ?? null, health: member?.health ?? null, restarts: member?.restarts ?? 0 },
        gpus: [...(member?.status?.gpus ?? [])],
      };
    }),
    members,
  };
}

/** A single container is a stack of one. */
function shapeOf(profile: WorkloadProfile | undefined) {
  const declared = profile?.execution.compose?.topology;
  if (declared && profile.execution.default_engine === 'docker_compose') {
    const services = declared.services.map(({ name, role, endpoints = [], mounts = [] }) => ({
      ...{ name, role, endpoints, mounts },
    }));
    return { description: declared.description, services };
  }
  const endpoints = (profile?.network?.endpoints ?? []).map(({ name }) => name);
  const mounts = (profile?.storage?.mounts ?? []).map(({ name }) => name);
  const description = profile?.profile.description ?? '';
  return { description, services: [{ name: 'main', role: 'app', endpoints, mounts }] };
}

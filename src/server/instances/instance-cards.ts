/** The cards that an instance holds, with what their host says of each. */
import { type Static, Type } from 'typebox';
import { Gpu, GpuUuid } from '../../contract/gpus.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Node } from '../db/entities/node.ts';

const { name, vendor, memory_mib, health, reason } = Gpu.properties;

export const InstanceCard = Type.Object(
  {
    uuid: GpuUuid,
    service: Type.Union([Type.String(), Type.Null()], { description: 'Service that has it; null without a stack.' }),
    card: Type.Union(
      [
        Type.Object(
          { name, vendor, memory_mib, health, reason },
          { additionalProperties: false, description: 'The card as its host last reported it.' },
        ),
        Type.Null(),
      ],
      { description: 'What it is and how; null where its host does not report it any more.' },
    ),
  },
  { additionalProperties: false, description: 'A card that the instance holds, until it is removed.' },
);
export type InstanceCard = Static<typeof InstanceCard>;

export function cardsOf({ members }: Pick<AppInstance, 'members'>, node: Node | undefined): InstanceCard[] {
  const known = new Map((node?.inventory?.runtime ?? node?.runtime)?.gpus.map((gpu) => [gpu.uuid, gpu]));
  return members.flatMap(({ status }) =>
    (status?.gpus ?? []).map((uuid) => {
      const gpu = known.get(uuid);
      return { uuid, service: serviceOf(status), card: gpu ? shownOf(gpu) : null };
    }),
  );
}

function shownOf({ name: product, vendor: made, memory_mib: memory, health: state, reason: why }: Gpu) {
  return { name: product, vendor: made, memory_mib: memory, health: state, reason: why };
}

function serviceOf(status: AppInstance['members'][number]['status']): string | null {
  return status !== null && 'service' in status ? status.service : null;
}

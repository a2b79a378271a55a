/** Cards of a host: what they are, how they are, and who holds them. */
import { type Static, Type } from 'typebox';
import { identifierPattern } from './identifiers.ts';

const closed = { additionalProperties: false } as const;

/**
 * The vendor's own UUID: `GPU-…` for a card, `MIG-…` for a part of one. A card is known by it alone: an index changes when
 * another card goes.
 */
export const GpuUuid = Type.String({
  pattern: '^(GPU|MIG)-[0-9a-zA-Z-]{1,64}$',
  description: "The vendor's own UUID of the card, or of a MIG instance, which is leased like a card.",
});
export type GpuUuid = Static<typeof GpuUuid>;

const maybeText = (maxLength: number, description: string) =>
  Type.Union([Type.String({ maxLength }), Type.Null()], { description });

export const Gpu = Type.Object(
  {
    uuid: GpuUuid,
    vendor: Type.Enum(['nvidia', 'amd'], { description: 'Whose card it is, and so how it is handed to a container.' }),
    name: Type.String({ maxLength: 256, description: 'Product name.' }),
    memory_mib: Type.Integer({
      minimum: 0,
      description: 'Memory of the card in MiB; 0 where it shares the memory of the host.',
    }),
    driver: maybeText(64, 'Version of the driver; null where it does not tell.'),
    pci_address: maybeText(32, 'Address on the PCI bus as `0000:17:00.0`; null where it does not tell.'),
    mig: Type.Union(
      [
        Type.Object(
          {
            parent: GpuUuid,
            profile: Type.String({ maxLength: 64, description: 'Size of the part, for example `1g.10gb`.' }),
          },
          { ...closed, description: 'The card that it is a part of.' },
        ),
        Type.Null(),
      ],
      { description: 'Set for a MIG instance; null for a whole card.' },
    ),
    health: Type.Enum(['healthy', 'unhealthy'], {
      description: 'unhealthy: quarantined, no workload gets it until it is well again.',
    }),
    reason: maybeText(1024, 'Why it is unhealthy, one sentence; null where it is healthy.'),
    held_by: Type.Union([Type.String({ pattern: identifierPattern }), Type.Null()], {
      description: 'The workload that has the lease; null for a free card.',
    }),
  },
  { ...closed, description: 'A card of the host, or a part of one that is leased like a card.' },
);
export type Gpu = Static<typeof Gpu>;

/** True for a card that gVisor can hand on: its nvproxy knows whole cards of NVIDIA, and no parts. */
export function isForGvisor({ vendor, mig }: Pick<Gpu, 'vendor' | 'mig'>): boolean {
  return vendor === 'nvidia' && mig === null;
}

/**
 * True for a card of that size as it is sold. A driver keeps some of it for itself: of 24576 MiB it reports 24564, or 24268. Up to a
 * fiftieth less counts as the whole.
 */
export function isCardOf(wantedMib: number, reportedMib: number): boolean {
  return reportedMib >= wantedMib * 0.98;
}

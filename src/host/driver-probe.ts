/** What the driver of one maker says of its cards. */
import type { Gpu } from '../contract/gpus.ts';

/** A card that is cut into parts, each of which is leased in its place. */
export interface PartitionedGpu {
  readonly uuid: string;
  readonly name: string;
  readonly pci_address: string | null;
  /** How many parts it has; a card without any gives nothing to lease. */
  readonly parts: number;
}

/** What one driver says. */
export interface DriverProbe {
  readonly vendor: Gpu['vendor'];
  /** Path of the tool that was asked. */
  readonly tool: string;
  /** Cards that answered, each once. `held_by` is null: the host does not know. */
  readonly gpus: readonly Gpu[];
  readonly partitioned: readonly PartitionedGpu[];
  /** What is wrong, one sentence; null if nothing is. With no card beside it, the whole driver is in trouble. */
  readonly reason: string | null;
}

/** True if nothing at all is to be had from it. A driver that lists some cards and complains has lost the others. */
export function isInTrouble({ gpus, partitioned, reason }: DriverProbe): boolean {
  return reason !== null && gpus.length === 0 && partitioned.length === 0;
}

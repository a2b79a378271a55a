/** The end of an allocation: its instances first, then itself. */
import type { Allocation } from '../db/entities/allocation.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import type { Tx } from '../db/store.ts';

/** Asks for the decommissioning of one instance; one that is on its way already is left alone. */
export type Decommission = (tx: Tx, cause: Cause, instance: AppInstance) => Promise<void>;

/** Begins the end of an active allocation and returns it as it then is. */
export type ReleaseAllocation = (tx: Tx, cause: Cause, allocation: Allocation) => Promise<Allocation>;

export function releasing(decommission: Decommission): ReleaseAllocation {
  return async (tx, cause, allocation) => {
    await tx.allocations.put({ ...allocation, state: 'releasing' });
    await appendEvent(tx, cause, {
      ...{ type: 'allocation.releasing', project_id: allocation.project_id },
      subject: { kind: 'allocation', id: allocation.id },
      message: 'The allocation ends; its instances are being decommissioned.',
    });
    for (const instance of await remaining(tx, allocation.id)) {
      await decommission(tx, cause, instance);
    }
    await endIfEmpty(tx, cause, allocation.id);
    return (await tx.allocations.get(allocation.id)) ?? allocation;
  };
}

/** Ends an allocation that is releasing and has no instance left. To be called when an instance is decommissioned. */
export async function endIfEmpty(tx: Tx, cause: Cause, allocationId: string): Promise<void> {
  const allocation = await tx.allocations.get(allocationId);
  if (allocation?.state !== 'releasing' || (await remaining(tx, allocationId)).length > 0) {
    return;
  }
  await tx.allocations.put({ ...allocation, state: 'ended', ended_at: new Date(cause.now).toISOString() });
  await appendEvent(tx, cause, {
    ...{ type: 'allocation.ended', project_id: allocation.project_id },
    subject: { kind: 'allocation', id: allocation.id },
    message: 'The allocation has ended; nothing of it is left.',
  });
}

async function remaining(tx: Tx, allocationId: string): Promise<AppInstance[]> {
  const all = await tx.app_instances.list({ where: { allocation_id: allocationId } });
  return all.filter(({ state }) => state !== 'decommissioned');
}

/**
 * Cards that a running workload holds and that are not well. Pure.
 *
 *   well ──(quarantined)──▶ sick ──(well again)──▶ well
 *                            └──(was gone meanwhile)──▶ lost ──(container started again, or another launch)──▶ well
 *
 * A card that was gone comes back as another one to the driver: what ran on it has lost it, however well the card is now.
 */
import type { WorkloadState } from '../../contract/workload-state.ts';
import type { Lease } from '../../tasks/lease-choice.ts';
import type { KeptWorkload, SickCard } from '../journal/journal.ts';

/** What is known of the cards of this host. */
export interface CardHealth {
  /** Cards of a workload. */
  heldBy(workloadId: string): readonly Pick<Lease, 'uuid' | 'service'>[];
  /** Why each quarantined card is not well. */
  unhealthy(): ReadonlyMap<string, string>;
  /** Those of them that are gone. */
  vanished(): ReadonlySet<string>;
}

/** What is the matter with its cards now; nothing for a workload that does not run. */
export function sickCards(row: KeptWorkload, health: CardHealth): SickCard[] {
  if (row.state !== 'running' && row.state !== 'degraded') {
    return [];
  }
  const [unhealthy, vanished] = [health.unhealthy(), health.vanished()];
  return health.heldBy(row.workload_id).flatMap(({ uuid, service }): SickCard[] => {
    const known = row.sick_gpus?.find((card) => card.uuid === uuid);
    const isLost = known?.lost === true || vanished.has(uuid);
    const reason = unhealthy.get(uuid) ?? (isLost ? 'It is there again, but what ran on it has lost it.' : undefined);
    return reason === undefined ? [] : [{ uuid, service, reason, lost: isLost }];
  });
}

/** Those that a container which was started anew still has reason to mind. */
export function afterStart(cards: readonly SickCard[], service: string | null): SickCard[] {
  return cards.filter((card) => card.service !== service || !card.lost);
}

/** State that others are told: that of its containers, and no better than its cards. */
export function shownState({ state, sick_gpus: cards = [] }: KeptWorkload): WorkloadState {
  return state === 'running' && cards.length > 0 ? 'degraded' : state;
}

/**
 * Which cards are there and which of them are well. Pure: it is told what was seen, and says how each card is.
 *
 *   well ──(gone, driver in trouble, bad word of driver or kernel)──▶ quarantined ──(all causes over)──▶ well
 *
 *   cause            over when
 *   vanished         it was there again at two looks in a row, or an operator gave it up
 *   driver trouble   the driver answers again
 *   driver's word    the driver does not say it any more
 *   Xid              the card was reset or the driver loaded anew, or (where that is not enough) the host rebooted; or by an operator
 */
import type { Gpu } from '../../contract/gpus.ts';
import { type DriverProbe, isInTrouble } from '../../host/driver-probe.ts';
import type { GpuProbe } from '../../host/gpus.ts';
import type { Xid } from '../../host/xid.ts';
import type { KeptCard, KeptHealth, KeptXid } from './health-file.ts';

/** Looks at which a card that was gone has to be there before it is trusted again. */
const goodLooks = 2;

interface Card {
  /** As it was last seen: healthy, held by nobody. */
  readonly gpu: Gpu;
  /** Why it is taken for gone, and how often it was there since. */
  readonly vanished: { readonly reason: string; readonly seen: number } | null;
  /** Why its driver is of no use now. */
  readonly driver: string | null;
  /** What its driver says of it. */
  readonly said: string | null;
}

export interface Verdict {
  readonly gpu: Gpu;
  readonly vanished: boolean;
  /** Null for a card that is well. */
  readonly reason: string | null;
}

export class Quarantine {
  readonly #cards: Map<string, Card>;
  /** By domain, bus and slot: whatever part of the card is there now. */
  #xids: readonly KeptXid[];

  constructor(kept: Pick<KeptHealth, 'cards' | 'xids'> = { cards: [], xids: [] }) {
    this.#cards = new Map(kept.cards.map((card) => [card.gpu.uuid, cardOf(card)]));
    this.#xids = kept.xids;
  }

  /** Cards that were seen and not given up, those of one driver together. */
  verdicts(): Verdict[] {
    return [...this.#cards.values()].map((card) => ({
      ...{ gpu: card.gpu, vanished: card.vanished !== null },
      reason: card.vanished?.reason ?? card.driver ?? this.#xidReason(card.gpu) ?? card.said,
    }));
  }

  kept(): Pick<KeptHealth, 'cards' | 'xids'> {
    const cards = [...this.#cards.values()].map(({ gpu, vanished }) => ({ gpu, vanished: vanished?.reason ?? null }));
    return { cards, xids: [...this.#xids] };
  }

  /** `isHeld`: whether a workload has the card; one that is held is not forgotten when its board is cut anew. */
  see(probe: GpuProbe, isHeld: (uuid: string) => boolean): void {
    for (const driver of probe.drivers) {
      if (isInTrouble(driver)) {
        this.#each(driver.vendor, (card) => ({ ...card, driver: driver.reason }));
      } else {
        this.#seeCards(driver, isHeld);
      }
    }
    const vendors = new Set(probe.drivers.map(({ vendor }) => vendor));
    for (const vendor of (['nvidia', 'amd'] as const).filter((maker) => !vendors.has(maker))) {
      this.#each(vendor, (card) => goneFrom(card, 'The tool of its driver is not installed any more.'));
    }
  }

  hear(xid: Xid, time: string): void {
    if (xid.settled) {
      this.#xids = this.#xids.filter(({ slot }) => slot !== xid.slot);
    } else if (xid.needs !== 'nothing') {
      const { code, slot, needs, meaning } = xid;
      const others = this.#xids.filter((kept) => kept.slot !== slot || kept.code !== code);
      this.#xids = [...others, { code, slot, needs, meaning, time }];
    }
  }

  /** The host was booted anew: what the kernel said before has no meaning any more. */
  rebooted(): void {
    this.#xids = [];
  }

  /** The driver of NVIDIA was loaded: what a reset mends is mended. */
  driverLoaded(): void {
    this.#xids = this.#xids.filter(({ needs }) => needs === 'reboot');
  }

  /** False for a card that nobody knows. One that is gone is given up; of one that is there, what the kernel said is forgotten. */
  clear(uuid: string): boolean {
    const card = this.#cards.get(uuid);
    if (card === undefined) {
      return false;
    }
    if (card.vanished !== null) {
      this.#cards.delete(uuid);
    }
    this.#xids = this.#xids.filter(({ slot }) => !isAt(card.gpu, slot));
    return true;
  }

  cardsAt(slot: string): Gpu[] {
    return [...this.#cards.values()].map(({ gpu }) => gpu).filter((gpu) => isAt(gpu, slot));
  }

  #seeCards(driver: DriverProbe, isHeld: (uuid: string) => boolean): void {
    const boards = new Set([...driver.gpus, ...driver.partitioned].map(boardOf));
    const seen = new Map(driver.gpus.map((gpu) => [gpu.uuid, gpu]));
    this.#each(driver.vendor, (card) => {
      const isCutAnew = driver.reason === null && boards.has(boardOf(card.gpu));
      if (seen.has(card.gpu.uuid)) {
        return card;
      }
      if (isCutAnew && !isHeld(card.gpu.uuid)) {
        return undefined;
      }
      const why = isCutAnew
        ? 'It is gone: its card was cut into other parts.'
        : 'The driver does not list it any more.';
      return goneFrom(card, driver.reason === null ? why : `${why} ${driver.reason}`.slice(0, 1000));
    });
    for (const [uuid, gpu] of seen) {
      const before = this.#cards.get(uuid)?.vanished ?? null;
      const back = before !== null && before.seen + 1 < goodLooks;
      this.#cards.set(uuid, {
        gpu: { ...gpu, health: 'healthy', reason: null },
        ...{ vanished: back ? { ...before, seen: before.seen + 1 } : null, driver: null, said: gpu.reason },
      });
    }
  }

  /** Replaces each card of a maker by what it becomes; it is forgotten where that is nothing. */
  #each(vendor: Gpu['vendor'], change: (card: Card) => Card | undefined): void {
    for (const [uuid, card] of this.#cards) {
      const changed = card.gpu.vendor === vendor ? change(card) : card;
      if (changed === undefined) {
        this.#cards.delete(uuid);
      } else {
        this.#cards.set(uuid, changed);
      }
    }
  }

  #xidReason(gpu: Gpu): string | null {
    const bad = this.#xids.filter(({ slot }) => isAt(gpu, slot));
    const worst = bad.find(({ needs }) => needs === 'reboot') ?? bad[0];
    return worst === undefined
      ? null
      : `Xid ${worst.code} at ${worst.time} (${worst.meaning}): ${
          worst.needs === 'reboot'
            ? 'the host has to be rebooted.'
            : 'the card has to be reset, its driver loaded anew, or the host rebooted.'
        }`;
  }
}

function goneFrom(card: Card, reason: string): Card {
  return { ...card, vanished: { reason: card.vanished?.reason ?? reason, seen: 0 }, driver: null, said: null };
}

function boardOf({ uuid, mig }: { uuid: string; mig?: Gpu['mig'] }): string {
  return mig?.parent ?? uuid;
}

function isAt({ vendor, pci_address }: Gpu, slot: string): boolean {
  return vendor === 'nvidia' && pci_address?.startsWith(`${slot}.`) === true;
}

function cardOf({ gpu, vanished }: KeptCard): Card {
  return { gpu, vanished: vanished === null ? null : { reason: vanished, seen: 0 }, driver: null, said: null };
}

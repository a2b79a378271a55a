/** Tells of each Xid of a card, and of a flood of the same one no more than once a minute, with their number. */
import type { Gpu } from '../../contract/gpus.ts';
import type { Xid } from '../../host/xid.ts';
import type { Clock } from '../../kit/clock.ts';

interface Heard {
  readonly xid: Xid;
  readonly time: string;
  readonly cards: readonly Gpu[];
  readonly count: number;
}

const quietMs = 60_000;

export class XidEvents {
  readonly #clock: Clock;
  readonly #report: (values: Record<string, unknown>, message: string) => void;
  /** By card and number: what was heard and not told yet, and when it was told last. */
  readonly #heard = new Map<string, Heard>();
  readonly #toldAt = new Map<string, number>();

  constructor(clock: Clock, report: (values: Record<string, unknown>, message: string) => void) {
    this.#clock = clock;
    this.#report = report;
  }

  heard(xid: Xid, time: string, cards: readonly Gpu[]): void {
    const key = `${xid.slot} ${xid.code}`;
    this.#heard.set(key, { xid, time, cards, count: (this.#heard.get(key)?.count ?? 0) + 1 });
  }

  /** Tells what is due. */
  tell(): void {
    const now = this.#clock.monotonicMs();
    for (const [key, { xid, time, cards, count }] of this.#heard) {
      if (now - (this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY) >= quietMs) {
        this.#heard.delete(key);
        this.#toldAt.set(key, now);
        const uuids = cards.map(({ uuid }) => uuid);
        this.#report(
          { xid: xid.code, pci_address: xid.slot, uuids, needs: xid.needs, count, time, text: xid.text },
          `Xid ${xid.code} of the card at ${xid.slot}: ${xid.meaning}${count > 1 ? `, ${count} times` : ''}.`,
        );
      }
    }
  }
}

/**
 * How many events and progress reports of one node are kept: as many as any node has to say, and no flood. They stay in the
 * store for months, so a node that means harm could fill it.
 *
 *   full ── a report: one, and one more per 4 KiB ──▶ less ── 300 a minute ──▶ full
 *
 * Progress stops at half of it, so that a host that pulls many images keeps room for what happens to its workloads. State is
 * not lost with an event: the topology that follows has it.
 *
 * Topology makes events as well where it changes the state of instances, and has a budget of its own, so that a flood of events
 * leaves states right. Beyond it topology is held back: of what the node says, the last of each minute counts.
 */
import type { RecordKind } from '../../contract/records.ts';
import type { RecordMessage } from '../../contract/session-messages.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Store } from '../db/store.ts';

/**
 * An agent's outbox after a long absence costs at most 6096: 2000 records, and 16 MiB in parts of 4 KiB. 64 workloads that
 * start again at once say some twenty things each.
 */
export const fullBudget = 10_000;
/** Far more than 64 workloads that crash for ever, whose restarts are five minutes apart in the end. */
export const refillPerMinute = 300;
/** Changes by topology. 64 workloads that start again ten times each make 1280. */
export const fullChanges = 2000;
export const changesPerMinute = 60;
const partBytes = 4096;

/** Kinds of record that the budget of reports is for. Results and inventory replace what was there, and metrics are not stored. */
export const budgeted: ReadonlySet<RecordKind> = new Set(['event', 'task.progress']);

/** What one transaction may keep. It counts for nothing until `settle`. */
export class Allowance {
  readonly #left: number;
  readonly #progressStopsAt: number;
  readonly #changes: number;
  readonly #isHeld: boolean;
  spent = 0;
  dropped = 0;
  changed = 0;
  held = 0;

  constructor({ left, changes, held }: Pick<Account, 'left' | 'changes' | 'held'>, full: number) {
    this.#left = left;
    this.#progressStopsAt = full / 2;
    this.#changes = changes;
    this.#isHeld = held > 0;
  }

  /** True if a topology that changes so many workloads counts now. Behind one that was held back, all are, until that counts. */
  takeTopology(changes: number): boolean {
    const fits = !this.#isHeld && this.held === 0 && this.changed + changes <= this.#changes;
    if (fits) this.changed += changes;
    else this.held += 1;
    return fits;
  }

  /** True if what this record says may be kept; otherwise it counts as dropped. */
  take({ kind, body }: RecordMessage): boolean {
    const cost = 1 + Math.floor(Buffer.byteLength(JSON.stringify(body ?? null)) / partBytes);
    const least = kind === 'task.progress' ? this.#progressStopsAt : 0;
    const fits = this.#left - this.spent - cost >= least;
    if (fits) this.spent += cost;
    else this.dropped += 1;
    return fits;
  }
}

interface Account {
  left: number;
  /** How many changes by topology are left. */
  changes: number;
  /** Monotonic time that these are of, in milliseconds. */
  at: number;
  /** Dropped and not told yet. */
  dropped: number;
  /** Topologies that were held back since one counted. */
  held: number;
  /** True once it was told that topologies are held back. */
  toldHeld: boolean;
}

const fresh: Omit<Account, 'at'> = { left: fullBudget, changes: fullChanges, dropped: 0, held: 0, toldHeld: false };

export class ReportBudget {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #full: number;
  /** Of nodes that have said something lately; it outlives their sessions. */
  readonly #accounts = new Map<string, Account>();

  /** `full`: what reports may cost. */
  constructor(clock: Pick<Clock, 'monotonicMs'>, full = fullBudget) {
    this.#clock = clock;
    this.#full = full;
  }

  /** Nodes that are remembered. */
  get size(): number {
    return this.#accounts.size;
  }

  allowance(nodeId: string): Allowance {
    return new Allowance(this.#now(nodeId), this.#full);
  }

  /** For a transaction that is on disk: one that failed has cost nothing, and its records come again. */
  settle(nodeId: string, { spent, dropped, changed, held }: Allowance): void {
    if (spent + dropped + changed + held === 0) return;
    const now = this.#now(nodeId);
    this.#accounts.set(nodeId, {
      ...now,
      left: Math.max(0, now.left - spent),
      changes: Math.max(0, now.changes - changed),
      dropped: now.dropped + dropped,
      held: now.held + held,
    });
  }

  /** Nodes whose last topology was held back. */
  held(): { readonly id: string; readonly held: number; readonly told: boolean }[] {
    return [...this.#accounts].flatMap(([id, { held, toldHeld: told }]) => (held > 0 ? [{ id, held, told }] : []));
  }

  /** So many of those that were held back need not count any more, since the last one does; and that was told. */
  caughtUp(nodeId: string, held: number): void {
    const account = this.#accounts.get(nodeId);
    if (account) this.#accounts.set(nodeId, { ...account, held: account.held - held, toldHeld: true });
  }

  /** Keeps one event for each node of which something was dropped since the last time, and forgets nodes that are silent. */
  async tell(store: Store, time: string): Promise<void> {
    const flooding = [...this.#accounts].flatMap(([id, { dropped }]) => (dropped > 0 ? [{ id, dropped }] : []));
    if (flooding.length > 0) {
      await store.write(async (tx) => {
        for (const { id, dropped } of flooding) {
          await tx.events.append({
            ...{ time, type: 'node.events_dropped', project_id: null, actor: 'system', correlation_id: null },
            subject: { kind: 'node', id },
            message: `The node reported more than is kept of one node. ${dropped} events and progress reports were dropped.`,
            data: { count: dropped },
          });
        }
        tx.afterCommit(() => this.#told(flooding));
      });
    }
    for (const id of this.#accounts.keys()) {
      const { left, changes, dropped, held } = this.#now(id);
      if (dropped + held === 0 && left === this.#full && changes === fullChanges) this.#accounts.delete(id);
    }
  }

  #told(flooding: readonly { readonly id: string; readonly dropped: number }[]): void {
    for (const { id, dropped } of flooding) {
      const account = this.#accounts.get(id);
      if (account) account.dropped -= dropped;
    }
  }

  #now(nodeId: string): Account {
    const at = this.#clock.monotonicMs();
    const account = this.#accounts.get(nodeId) ?? { ...fresh, left: this.#full, at };
    const minutes = (at - account.at) / 60_000;
    const left = Math.min(this.#full, account.left + minutes * refillPerMinute);
    return { ...account, at, left, changes: Math.min(fullChanges, account.changes + minutes * changesPerMinute) };
  }
}

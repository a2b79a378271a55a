/**
 * How many events and progress reports of one node are kept: as many as any node has to say, and no flood. They stay in the
 * store for months, so a node that means harm could fill it.
 *
 *   full ── a report: one, and one more per 4 KiB ──▶ less ── 300 a minute ──▶ full
 *
 * Progress stops at half of it, so that a host that pulls many images keeps room for what happens to its workloads. State is
 * not lost with an event: the topology that follows has it.
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
const progressStopsAt = fullBudget / 2;
const partBytes = 4096;

/** Kinds of record that the budget is for. Results, topology and inventory replace what was there, and metrics are not stored. */
export const budgeted: ReadonlySet<RecordKind> = new Set(['event', 'task.progress']);

/** What one transaction may keep. It counts for nothing until `settle`. */
export class Allowance {
  readonly #left: number;
  spent = 0;
  dropped = 0;

  constructor(left: number) {
    this.#left = left;
  }

  /** True if what this record says may be kept; otherwise it counts as dropped. */
  take({ kind, body }: RecordMessage): boolean {
    const cost = 1 + Math.floor(Buffer.byteLength(JSON.stringify(body ?? null)) / partBytes);
    const least = kind === 'task.progress' ? progressStopsAt : 0;
    const fits = this.#left - this.spent - cost >= least;
    if (fits) this.spent += cost;
    else this.dropped += 1;
    return fits;
  }
}

interface Account {
  left: number;
  /** Monotonic time that `left` is of, in milliseconds. */
  at: number;
  /** Dropped and not told yet. */
  dropped: number;
}

export class ReportBudget {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** Of nodes that have said something lately; it outlives their sessions. */
  readonly #accounts = new Map<string, Account>();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Nodes that are remembered. */
  get size(): number {
    return this.#accounts.size;
  }

  allowance(nodeId: string): Allowance {
    const account = this.#accounts.get(nodeId);
    return new Allowance(account ? this.#leftOf(account) : fullBudget);
  }

  /** For a transaction that is on disk: one that failed has cost nothing, and its records come again. */
  settle(nodeId: string, { spent, dropped }: Allowance): void {
    if (spent + dropped === 0) return;
    const account = this.#accounts.get(nodeId);
    const left = Math.max(0, (account ? this.#leftOf(account) : fullBudget) - spent);
    const at = this.#clock.monotonicMs();
    this.#accounts.set(nodeId, { left, at, dropped: (account?.dropped ?? 0) + dropped });
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
    for (const [id, account] of this.#accounts) {
      if (account.dropped === 0 && this.#leftOf(account) === fullBudget) this.#accounts.delete(id);
    }
  }

  #told(flooding: readonly { readonly id: string; readonly dropped: number }[]): void {
    for (const { id, dropped } of flooding) {
      const account = this.#accounts.get(id);
      if (account) account.dropped -= dropped;
    }
  }

  #leftOf({ left, at }: Account): number {
    return Math.min(fullBudget, left + ((this.#clock.monotonicMs() - at) / 60_000) * refillPerMinute);
  }
}

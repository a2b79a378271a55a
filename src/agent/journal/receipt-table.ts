/** The chain of receipts in the journal. The newest are kept; of what was before them, each has the hash of the one before it. */
import { randomUUID } from 'node:crypto';
import type { Database } from './database.ts';
import type { MakeReceipt } from './journal.ts';

interface ReceiptLink {
  readonly chain: string;
  readonly number: number;
  readonly jws: string;
}

/** More than anybody looks for on a host; the control plane keeps all of them. */
const keptReceipts = 1000;

export class ReceiptTable {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  get(taskId: string): string | undefined {
    return this.#database.get<{ jws: string }>('SELECT jws FROM receipts WHERE task_id = ?', taskId)?.jws;
  }

  /** Adds what `make` makes as the next link, within a transaction of the caller's. */
  add(taskId: string, make: MakeReceipt): string {
    const last = this.#database.get<ReceiptLink>('SELECT * FROM receipts ORDER BY number DESC LIMIT 1');
    const next = { chain: last?.chain ?? randomUUID(), number: (last?.number ?? 0) + 1 };
    const jws = make(next, last?.jws ?? null);
    this.#database.run(
      'INSERT INTO receipts (number, chain, task_id, jws) VALUES (?, ?, ?, ?)',
      ...[next.number, next.chain, taskId, jws],
    );
    this.#database.run('DELETE FROM receipts WHERE number <= ?', next.number - keptReceipts);
    return jws;
  }
}

/** Workloads in the journal, whole: a row is replaced, never changed in part. */
import type { Database } from './database.ts';
import type { KeptWorkload } from './journal.ts';

interface Row {
  readonly body: string;
}

export class WorkloadTable {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  all(): KeptWorkload[] {
    return this.#database
      .all<Row>('SELECT body FROM workloads ORDER BY workload_id')
      .map(({ body }) => JSON.parse(body) as KeptWorkload);
  }

  get(workloadId: string): KeptWorkload | undefined {
    const row = this.#database.get<Row>('SELECT body FROM workloads WHERE workload_id = ?', workloadId);
    return row && (JSON.parse(row.body) as KeptWorkload);
  }

  /** Null forgets it. */
  set(workloadId: string, workload: KeptWorkload | null): void {
    if (workload === null) {
      this.#database.run('DELETE FROM workloads WHERE workload_id = ?', workloadId);
      return;
    }
    this.#database.run(
      'INSERT INTO workloads (workload_id, body) VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body',
      ...[workloadId, JSON.stringify(workload)],
    );
  }
}

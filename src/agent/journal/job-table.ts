/** Jobs in the journal. A plan is written once, its record with each step that is taken. */
import type { JobRecord, KeptJob } from '../../jobs/job-record.ts';
import type { Database } from './database.ts';

interface Row extends Pick<KeptJob, 'job_id' | 'task_id' | 'fencing'> {
  readonly plan: string;
  readonly record: string;
}

export class JobTable {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  all(): KeptJob[] {
    return this.#database.all<Row>('SELECT * FROM jobs ORDER BY job_id').map(jobOf);
  }

  get(job: string): KeptJob | undefined {
    const row = this.#database.get<Row>('SELECT * FROM jobs WHERE job_id = ?', job);
    return row && jobOf(row);
  }

  begin({ job_id, task_id, fencing, plan, record }: KeptJob): void {
    this.#database.run(
      'INSERT OR REPLACE INTO jobs (job_id, task_id, fencing, plan, record) VALUES (?, ?, ?, ?, ?)',
      ...[job_id, task_id, fencing, JSON.stringify(plan), JSON.stringify(record)],
    );
  }

  put(job: string, record: JobRecord): void {
    this.#database.run('UPDATE jobs SET record = ? WHERE job_id = ?', JSON.stringify(record), job);
  }

  remove(job: string): void {
    this.#database.run('DELETE FROM jobs WHERE job_id = ?', job);
  }
}

function jobOf({ plan, record, ...row }: Row): KeptJob {
  return { ...row, plan: JSON.parse(plan), record: JSON.parse(record) };
}

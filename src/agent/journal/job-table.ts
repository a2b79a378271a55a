/**
 * Jobs in the journal. A plan is written once; of a record each fact and each step has a row of its own, and what a step has said
 * another one: a change costs what has changed.
 */
import {
  type JobRecord,
  type JobReportBody,
  jobReport,
  type KeptJob,
  mostReportBytes,
  type StepRecord,
} from '../../jobs/job-record.ts';
import type { Database } from './database.ts';

interface Launch extends Pick<KeptJob, 'job_id' | 'task_id' | 'fencing'> {
  readonly plan: string;
}

type Kind = 'fact' | 'step' | 'results';

interface Part {
  readonly kind: Kind;
  /** Field of the record, or id of the step. */
  readonly name: string;
  readonly body: string;
}

export class JobTable {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  all(): KeptJob[] {
    return this.#database
      .all<Launch>('SELECT * FROM job_launches ORDER BY job_id')
      .map((launch) => this.#job(launch, { results: true }));
  }

  get(job: string): KeptJob | undefined {
    return this.#find(job, { results: true });
  }

  outline(job: string): KeptJob | undefined {
    return this.#find(job, { results: false });
  }

  /** Names of the results that were found, by step; what they are is not read. */
  resultsOf(job: string): ReadonlyMap<string, readonly string[]> {
    const rows = this.#database.all<{ step: string; result: string }>(
      "SELECT part.name AS step, found.key AS result FROM job_parts part, json_each(part.body) found WHERE job_id = ? AND kind = 'results'",
      job,
    );
    const bySteps = Map.groupBy(rows, ({ step }) => step);
    return new Map([...bySteps].map(([step, found]) => [step, found.map(({ result }) => result)]));
  }

  /** How it stands, as it is told; undefined where it is not known any more. What no report has room for is not read. */
  report(job: string): JobReportBody | undefined {
    const said = this.#database.get<{ bytes: number | null }>(
      "SELECT sum(octet_length(body)) AS bytes FROM job_parts WHERE job_id = ? AND kind = 'results'",
      job,
    );
    const found = this.#find(job, { results: (said?.bytes ?? 0) <= mostReportBytes });
    return found && jobReport(found);
  }

  /** Within a transaction of the caller, as all that changes something. */
  begin({ job_id, task_id, fencing, plan, record }: KeptJob): void {
    this.remove(job_id);
    this.#database.run(
      'INSERT INTO job_launches (job_id, task_id, fencing, plan) VALUES (?, ?, ?, ?)',
      ...[job_id, task_id, fencing, JSON.stringify(plan)],
    );
    this.put(job_id, record);
  }

  put(job: string, { steps, ...facts }: JobRecord, before?: JobRecord): void {
    for (const [name, fact] of Object.entries(facts)) {
      if (fact !== before?.[name as keyof typeof facts]) this.#write(job, 'fact', name, fact);
    }
    for (const [id, step] of Object.entries(steps)) {
      const known = before?.steps[id];
      if (step === known) continue;
      const { results, ...rest } = step;
      this.#write(job, 'step', id, rest);
      if (results !== known?.results) this.#write(job, 'results', id, results);
    }
  }

  remove(job: string): void {
    this.#database.run('DELETE FROM job_launches WHERE job_id = ?', job);
    this.#database.run('DELETE FROM job_parts WHERE job_id = ?', job);
  }

  /** Nothing is kept of a job that was never begun. */
  #write(job: string, kind: Kind, name: string, value: unknown): void {
    this.#database.run(
      `INSERT INTO job_parts (job_id, kind, name, body) SELECT job_id, ?, ?, ? FROM job_launches WHERE job_id = ?
       ON CONFLICT DO UPDATE SET body = excluded.body`,
      ...[kind, name, JSON.stringify(value), job],
    );
  }

  #find(job: string, wanted: { readonly results: boolean }): KeptJob | undefined {
    const launch = this.#database.get<Launch>('SELECT * FROM job_launches WHERE job_id = ?', job);
    return launch && this.#job(launch, wanted);
  }

  #job({ plan, ...launch }: Launch, { results }: { readonly results: boolean }): KeptJob {
    const rows = this.#database.all<Part>(
      `SELECT kind, name, body FROM job_parts WHERE job_id = ? ${results ? '' : "AND kind <> 'results'"} ORDER BY rowid`,
      launch.job_id,
    );
    const parsed = (wanted: Kind) =>
      rows.filter(({ kind }) => kind === wanted).map(({ name, body }) => [name, JSON.parse(body)] as const);
    const said = new Map(parsed('results'));
    const steps = parsed('step').map(([id, step]): [string, StepRecord] => [
      id,
      { ...step, results: said.get(id) ?? {} },
    ]);
    const record = { ...Object.fromEntries(parsed('fact')), steps: Object.fromEntries(steps) } as JobRecord;
    return { ...launch, plan: JSON.parse(plan), record };
  }
}

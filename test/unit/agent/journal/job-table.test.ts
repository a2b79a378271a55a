/** Jobs in the journal: a change is written with what is said of it, and costs what has changed. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Database } from '../../../../src/agent/journal/database.ts';
import { JobTable } from '../../../../src/agent/journal/job-table.ts';
import type { Journal } from '../../../../src/agent/journal/journal.ts';
import { openJournal } from '../../../../src/agent/journal/open-journal.ts';
import { journalSchema } from '../../../../src/agent/journal/schema.ts';
import { boundedReport, type KeptJob, type StepRecord } from '../../../../src/jobs/job-record.ts';
import { keptJob } from '../../../support/job-plans.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('job-table');
let stateDir: string;
let journal: Journal;
let count = 0;

const reopen = () => {
  journal.close();
  journal = openJournal({ stateDir, reserveBytes: 65_536 });
};
/** Works on the file itself, as another version of the agent has. */
const inFile = (work: (database: Database) => void) => {
  journal.close();
  const database = new Database(join(stateDir, 'agent.db'), journalSchema);
  work(database);
  database.close();
  journal = openJournal({ stateDir, reserveBytes: 65_536 });
};

beforeEach(() => {
  count += 1;
  stateDir = join(folder, String(count));
  journal = openJournal({ stateDir, reserveBytes: 65_536 });
});
afterEach(() => journal.close());

const said = (bytes: number) => ({ said: ['x'.repeat(bytes)] });
const withResults = (job: KeptJob, bytes: number): KeptJob => {
  const { record } = job;
  const steps = Object.entries(record.steps).map(([id, step]) => [id, { ...step, results: said(bytes) }]);
  return { ...job, record: { ...record, steps: Object.fromEntries(steps) } };
};
const changed = ({ record }: KeptJob, id: string, over: Partial<StepRecord>) => {
  const step = record.steps[id];
  if (!step) throw new Error(`there is no step ${id}`);
  return { ...record, steps: { ...record.steps, [id]: { ...step, ...over } } };
};

describe('a job', () => {
  it('is what it was after each change, also in the next life of the agent', () => {
    const job = withResults(keptJob('running', 'running'), 100);
    journal.jobs.begin(job);
    const record = { ...changed(job, 'one', { state: 'succeeded', results: { other: ['y'] } }), cancelled: true };
    journal.jobs.put(job.job_id, record, job.record);
    reopen();

    expect(journal.jobs.get(job.job_id)).toEqual({ ...job, record });
    expect(journal.jobs.all()).toEqual([{ ...job, record }]);
    expect(journal.jobs.outline(job.job_id)?.record.steps['one']).toMatchObject({ state: 'succeeded', results: {} });
    expect(journal.jobs.resultsOf(job.job_id)).toEqual(new Map([['one', ['other']]]));
  });

  it('that is begun anew has nothing of the one before', () => {
    const job = withResults(keptJob('failed', 'failed'), 100);
    journal.jobs.begin(job);
    const again = keptJob('queued', 'pending', { task_id: 'task-2' });
    journal.jobs.begin(again);

    expect(journal.jobs.get(job.job_id)).toEqual(again);
  });

  it('that is removed leaves nothing, and nothing to be said', () => {
    const job = keptJob('running', 'running');
    journal.jobs.begin(job);
    journal.jobs.put(job.job_id, job.record);
    journal.jobs.remove(job.job_id);

    expect([journal.jobs.all(), journal.waiting(0, 10)]).toEqual([[], []]);
    inFile((database) => expect(database.all('SELECT * FROM job_parts')).toEqual([]));
  });

  it('is told of as it is, without results that a message has no room for', () => {
    const job = withResults(keptJob('running', 'running'), 500_000);
    journal.jobs.begin(job);
    journal.jobs.put(job.job_id, changed(job, 'one', { attempts: 7 }), job.record);

    expect(journal.waiting(0, 10)).toMatchObject([
      { kind: 'job.report', body: { report: { steps: [{ attempts: 7, results: {} }] } } },
    ]);
  });

  it('does not change where what is said of it cannot be written', () => {
    const job = keptJob('running', 'running');
    journal.jobs.begin(job);
    inFile((database) =>
      database.run("CREATE TRIGGER refused BEFORE INSERT ON outbox BEGIN SELECT raise(ABORT, 'refused'); END"),
    );

    expect(() => journal.jobs.put(job.job_id, changed(job, 'one', { attempts: 7 }), job.record)).toThrow('refused');
    expect(journal.jobs.get(job.job_id)).toEqual(job);
  });
});

it('a change writes what has changed, however much a job has said', () => {
  const job = withResults(keptJob('running', 'running'), 200_000);
  journal.jobs.begin(job);
  inFile((database) => {
    let written = 0;
    const run = (sql: string, ...values: string[]) => {
      written += values.reduce((sum, value) => sum + value.length, 0);
      return database.run(sql, ...values);
    };
    new JobTable({ run } as unknown as Database).put('job-1', changed(job, 'one', { attempts: 7 }), job.record);

    expect(written).toBeGreaterThan(0);
    expect(written).toBeLessThan(2000);
  });
});

it('a job of schema 2 is taken along, and so is what waits to be said of it', () => {
  const job = withResults(keptJob('running', 'running'), 100);
  const { job_id, task_id, fencing, plan, record } = job;
  const body = { workload_id: job_id, task_id, report: boundedReport(job), endpoints: [], outputs: [] };
  journal.append('job.report', body);
  inFile((database) => {
    database.run('DROP TABLE job_launches');
    database.run('DROP TABLE job_parts');
    database.run(
      'INSERT INTO jobs (job_id, task_id, fencing, plan, record) VALUES (?, ?, ?, ?, ?)',
      ...[job_id, task_id, fencing, JSON.stringify(plan), JSON.stringify(record)],
    );
    database.run('PRAGMA user_version = 2');
  });

  expect(journal.jobs.get(job_id)).toEqual(job);
  expect(journal.waiting(0, 10)).toMatchObject([{ body }]);
  inFile((database) => expect(database.all('SELECT * FROM jobs')).toEqual([]));
});

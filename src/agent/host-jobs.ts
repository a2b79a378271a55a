/** What jobs need of this host, for whoever carries them out: the daemon, or a single task without one. */
import type { JobMeans } from '../jobs/job-means.ts';
import { memoryRecords } from '../jobs/memory-records.ts';
import { RunningJobs } from '../jobs/running-jobs.ts';
import type { Journal } from './journal/journal.ts';

type HostMeans = Partial<Pick<JobMeans, 'report' | 'inputs' | 'outputs' | 'receipts'>>;

/** Without a journal, nothing of a job is remembered after this process. */
export function openHostJobs(
  journal: Pick<Journal, 'jobs'> | undefined,
  { report = () => undefined, ...means }: HostMeans = {},
): JobMeans {
  return {
    ...{ records: journal?.jobs ?? memoryRecords(), running: new RunningJobs(), inputs: undefined, outputs: undefined },
    ...{ receipts: undefined, report, ...means },
  };
}

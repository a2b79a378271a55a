/** Records of jobs that nobody needs after this process. */
import type { JobRecords, KeptJob } from './job-record.ts';

export function memoryRecords(): JobRecords {
  const jobs = new Map<string, KeptJob>();
  return {
    get: (job) => jobs.get(job),
    outline: (job) => jobs.get(job),
    resultsOf: (job) => {
      const steps = Object.values(jobs.get(job)?.record.steps ?? {});
      return new Map(steps.map(({ id, results }) => [id, Object.keys(results)]));
    },
    all: () => [...jobs.values()],
    begin: (job) => void jobs.set(job.job_id, job),
    put: (id, record) => {
      const job = jobs.get(id);
      if (job) jobs.set(id, { ...job, record });
    },
    remove: (job) => void jobs.delete(job),
  };
}

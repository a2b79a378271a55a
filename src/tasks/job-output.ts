/** What the tasks of jobs have in common: finding the job, and saying how it stands. */
import { AgentError } from '../contract/failures.ts';
import type { JobTaskOutput } from '../contract/job-output.ts';
import type { JobRef } from '../contract/job-plan.ts';
import { boundedReport, endpointsOf, type KeptJob } from '../jobs/job-record.ts';
import type { TaskContext } from './task-context.ts';

/** Undefined where nobody knows it; `task.untrusted` where it belongs to another project. */
export function knownJob(
  { job_id, project_id }: Pick<JobRef, 'job_id' | 'project_id'>,
  { jobs }: Pick<TaskContext, 'jobs'>,
): KeptJob | undefined {
  const job = jobs.records.get(job_id);
  if (job && job.plan.identity.project_id !== project_id) {
    const message = 'is not the project of this job';
    throw new AgentError('task.untrusted', {
      errors: [{ path: '/params/identity/project_id', code: 'other_project', message }],
    });
  }
  return job;
}

/** It fits a message whatever the steps have said, or the receipt would be left behind with them. */
export function jobOutput(
  job: KeptJob | undefined,
  { events }: Pick<TaskContext, 'events'>,
  { summary, cleanup = null, failure = null }: Partial<Pick<JobTaskOutput, 'summary' | 'cleanup' | 'failure'>> = {},
): JobTaskOutput {
  const report = job ? boundedReport(job) : null;
  return {
    ...{ state: report?.state ?? null, summary: summary ?? report?.summary ?? 'Nothing is known of the job.', report },
    ...{ endpoints: job ? endpointsOf(job) : [], outputs: [...(job?.record.outputs ?? [])] },
    ...{ receipt: job?.record.receipt ?? null, events: events(), failure, cleanup },
  };
}

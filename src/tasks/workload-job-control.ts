/**
 * Runs `workload.job_control`: ends a job that is at work, and answers when it has ended. Neither the launch nor any other
 * task is waited for before; a job that has ended already is answered for as it is.
 */
import { AgentError } from '../contract/failures.ts';
import { jobHasEnded } from '../contract/job-state.ts';
import { jobOutput, knownJob } from './job-output.ts';
import type { TaskHandler } from './task-context.ts';

export const controlJob: TaskHandler<'workload.job_control'> = async ({ identity }, context) => {
  const { records, running } = context.jobs;
  const { job_id: id } = identity;
  const job = knownJob(identity, context);
  if (!job) throw new AgentError('job.not_found', { job: id });
  if (!jobHasEnded(job.record.state)) {
    // Whoever carries it out notes it; where nobody does yet, the next one finds it in the record.
    if (!running.has(id)) records.put(id, { ...job.record, cancelled: true }, job.record);
    context.log.info({ instance: id }, 'job is to end');
    await running.cancel(id, context.signal);
  }
  return jobOutput(records.get(id), context);
};

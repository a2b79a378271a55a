/**
 * Runs `workload.job_remove`: takes away what a job that has ended has left, and forgets it. Removing what is not there
 * succeeds, so the task can be delivered twice.
 */
import { AgentError } from '../contract/failures.ts';
import { jobHasEnded } from '../contract/job-state.ts';
import { takeAway } from '../jobs/take-away.ts';
import { FailedTask } from './failed-task.ts';
import { jobOutput, knownJob } from './job-output.ts';
import type { TaskHandler } from './task-context.ts';

export const removeJob: TaskHandler<'workload.job_remove'> = async ({ identity }, context) => {
  const { records, running, inputs, outputs, scripts } = context.jobs;
  const { job_id: id } = identity;
  const job = knownJob(identity, context);
  if (running.has(id) || (job && !jobHasEnded(job.record.state))) {
    throw new AgentError('job.running', { job: id });
  }
  context.enter('removing');
  const cleanup = await takeAway(id, context.engine, context.signal);
  context.log.info({ removed: cleanup.removed, failed: cleanup.failed }, 'job removed');
  const [failed] = cleanup.failed;
  if (failed !== undefined) {
    const summary = 'Parts of the job could not be removed.';
    throw new FailedTask(new AgentError('internal', { reason: failed }), (failure) =>
      jobOutput(job, context, { summary, cleanup, failure }),
    );
  }
  await Promise.all([job && job.plan.inputs.length > 0 ? inputs?.release(id) : undefined, outputs?.forget(id)]);
  scripts?.forget(id);
  records.remove(id);
  context.enter('removed');
  const isNothing = !job && cleanup.removed.length === 0;
  return jobOutput(job, context, {
    summary: isNothing ? 'There was nothing to remove.' : 'The job is removed.',
    cleanup,
  });
};

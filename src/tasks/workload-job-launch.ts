/**
 * Runs `workload.job_launch`: carries a plan out to its end.
 *
 * Safe to run twice: what has become of the job is on disk at every moment, so an agent that was killed goes on with it. The
 * task ends as the job does; what the job was is in its output in each case.
 */
import { AgentError } from '../contract/failures.ts';
import type { JobPlan } from '../contract/job-plan.ts';
import { checkPlan } from '../jobs/check-plan.ts';
import { runJob } from '../jobs/run-job.ts';
import { FailedTask } from './failed-task.ts';
import { jobOutput } from './job-output.ts';
import { underParams } from './param-paths.ts';
import type { TaskContext, TaskHandler } from './task-context.ts';

export const launchJob: TaskHandler<'workload.job_launch'> = async (plan, context) => {
  underParams(() => checkPlan(plan, context.policy));
  refuseUnsupported(plan, context);
  const { job, cleanup } = await runJob(plan, context);
  const { failure } = job.record;
  if (failure) {
    throw new FailedTask(new AgentError(failure.code, { ...(failure.detail as object) }), (of) =>
      jobOutput(job, context, { cleanup, failure: of }),
    );
  }
  return jobOutput(job, context, { cleanup });
};

/** Where this process has no means for a part of the plan, the whole of it is refused: half a job is none. */
function refuseUnsupported({ inputs, outputs }: JobPlan, { jobs }: TaskContext): void {
  const lacking = [
    ...(inputs.length > 0 && !jobs.inputs ? ['fetches no inputs'] : []),
    ...(outputs.length > 0 && !jobs.outputs ? ['keeps no outputs'] : []),
  ];
  if (lacking.length > 0) {
    throw new AgentError('task.unsupported', { reason: `This process ${lacking.join(' and ')}.` });
  }
}

/** Runs `workload.job_launch`: carries a plan out to its end. */
import { AgentError } from '../contract/failures.ts';
import { checkPlan } from '../jobs/check-plan.ts';
import { underParams } from './param-paths.ts';
import type { TaskHandler } from './task-context.ts';

export const launchJob: TaskHandler<'workload.job_launch'> = async (plan, { policy }) => {
  underParams(() => checkPlan(plan, policy));
  throw new AgentError('task.unsupported', {
    reason: 'This version judges plans of jobs, and does not carry them out yet.',
  });
};

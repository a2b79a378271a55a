/** Params of `workload.job_launch`: the plan itself. */
import type { Static } from 'typebox';
import { JobPlan } from './job-plan.ts';

export const WorkloadJobLaunchParams = JobPlan;
export type WorkloadJobLaunchParams = Static<typeof WorkloadJobLaunchParams>;

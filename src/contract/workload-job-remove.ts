/** Params of `workload.job_remove`: take away what a job has left. */
import { type Static, Type } from 'typebox';
import { JobRef } from './job-plan.ts';

export const WorkloadJobRemoveParams = Type.Object(
  { identity: JobRef },
  {
    additionalProperties: false,
    description: 'Take away containers, volumes and network of a job that has ended, and forget it. Safe to repeat.',
  },
);
export type WorkloadJobRemoveParams = Static<typeof WorkloadJobRemoveParams>;

/** Params of `workload.job_control`: end a job that runs. */
import { type Static, Type } from 'typebox';
import { JobRef } from './job-plan.ts';

export const WorkloadJobControlParams = Type.Object(
  {
    identity: JobRef,
    action: Type.Literal('cancel', {
      description:
        'Ends its containers, each with the grace of the plan. Safe to repeat; a job that has ended stays as it is.',
    }),
  },
  { additionalProperties: false, description: 'Cancel a job, wait until it has ended, and say how.' },
);
export type WorkloadJobControlParams = Static<typeof WorkloadJobControlParams>;

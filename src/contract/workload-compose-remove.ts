/** Params of `workload.compose_remove`: take a stack away. */
import type { Static } from 'typebox';
import { removeParams } from './workload-actions.ts';

export const WorkloadComposeRemoveParams = removeParams(
  'Stop and remove containers, network and scratch. Safe to repeat.',
);
export type WorkloadComposeRemoveParams = Static<typeof WorkloadComposeRemoveParams>;

/** Params of `workload.oci_remove`: take a workload away. */
import type { Static } from 'typebox';
import { removeParams } from './workload-actions.ts';

export const WorkloadOciRemoveParams = removeParams('Stop and remove container, network and scratch. Safe to repeat.');
export type WorkloadOciRemoveParams = Static<typeof WorkloadOciRemoveParams>;

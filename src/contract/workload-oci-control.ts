/** Params of `workload.oci_control`: stop, start or restart what a launch made. */
import type { Static } from 'typebox';
import { controlParams } from './workload-actions.ts';

export const WorkloadOciControlParams = controlParams('Stop, start or restart a launched workload.');
export type WorkloadOciControlParams = Static<typeof WorkloadOciControlParams>;

/** Params of `workload.compose_control`: stop, start or restart the services of a stack, in the order they depend on each other. */
import type { Static } from 'typebox';
import { controlParams } from './workload-actions.ts';

export const WorkloadComposeControlParams = controlParams(
  'Stop, start or restart a launched stack, all services of it.',
);
export type WorkloadComposeControlParams = Static<typeof WorkloadComposeControlParams>;

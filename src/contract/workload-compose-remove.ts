/** Params of `workload.compose_remove`: take a stack away. */
import { type Static, Type } from 'typebox';
import { Identity } from './identifiers.ts';

export const WorkloadComposeRemoveParams = Type.Object(
  {
    identity: Identity,
    keep_data: Type.Boolean({
      description: 'True keeps the scratch folders of the instance. Project storage is always kept.',
    }),
    grace_seconds: Type.Integer({
      minimum: 0,
      maximum: 600,
      description: 'Seconds between the polite signal and the kill.',
    }),
  },
  { additionalProperties: false, description: 'Stop and remove containers, network and scratch. Safe to repeat.' },
);
export type WorkloadComposeRemoveParams = Static<typeof WorkloadComposeRemoveParams>;

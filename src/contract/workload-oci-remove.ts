/** Params of `workload.oci_remove`: take a workload away. */
import { type Static, Type } from 'typebox';
import { Identity } from './identifiers.ts';

export const WorkloadOciRemoveParams = Type.Object(
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
  { additionalProperties: false, description: 'Stop and remove container, network and scratch. Safe to repeat.' },
);
export type WorkloadOciRemoveParams = Static<typeof WorkloadOciRemoveParams>;

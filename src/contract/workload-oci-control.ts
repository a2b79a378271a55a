/** Params of `workload.oci_control`: stop, start or restart what a launch made. */
import { type Static, Type } from 'typebox';
import { Identity } from './identifiers.ts';

export const WorkloadOciControlParams = Type.Object(
  {
    identity: Identity,
    action: Type.Enum(['stop', 'start', 'restart'], {
      description: 'What to do. Each is idempotent: stopping what is stopped succeeds and changes nothing.',
    }),
    grace_seconds: Type.Integer({
      minimum: 0,
      maximum: 600,
      description: 'Seconds between the polite signal and the kill, for stop and restart.',
    }),
  },
  { additionalProperties: false, description: 'Stop, start or restart a launched workload.' },
);
export type WorkloadOciControlParams = Static<typeof WorkloadOciControlParams>;

/** Params of `workload.compose_control`: stop, start or restart the services of a stack, in the order they depend on each other. */
import { type Static, Type } from 'typebox';
import { Identity } from './identifiers.ts';

export const WorkloadComposeControlParams = Type.Object(
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
  { additionalProperties: false, description: 'Stop, start or restart a launched stack, all services of it.' },
);
export type WorkloadComposeControlParams = Static<typeof WorkloadComposeControlParams>;

/** What every workload can be asked for once it was launched, one container or a stack. */
import { Type } from 'typebox';
import { Identity } from './identifiers.ts';

const graceSeconds = (description: string) => Type.Integer({ minimum: 0, maximum: 600, description });

/** Params of a control task. */
export function controlParams(description: string) {
  return Type.Object(
    {
      identity: Identity,
      action: Type.Enum(['stop', 'start', 'restart'], {
        description: 'What to do. Each is idempotent: stopping what is stopped succeeds and changes nothing.',
      }),
      grace_seconds: graceSeconds('Seconds between the polite signal and the kill, for stop and restart.'),
    },
    { additionalProperties: false, description },
  );
}

/** Params of a removal. */
export function removeParams(description: string) {
  return Type.Object(
    {
      identity: Identity,
      keep_data: Type.Boolean({
        description: 'True keeps the scratch folders of the instance. Project storage is always kept.',
      }),
      grace_seconds: graceSeconds('Seconds between the polite signal and the kill.'),
    },
    { additionalProperties: false, description },
  );
}

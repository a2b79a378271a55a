/** `agent.rotate_keys`: the node replaces its keys now, and not only when they are 30 days old. */
import { type Static, Type } from 'typebox';

export const AgentRotateKeysParams = Type.Object(
  {},
  { additionalProperties: false, description: 'Replace the keys of this node. Repeated, they are replaced again.' },
);
export type AgentRotateKeysParams = Static<typeof AgentRotateKeysParams>;

export const AgentRotateKeysOutput = Type.Object(
  {
    replaced_at: Type.String({ maxLength: 40, description: 'RFC 3339 time of the control plane when it was done.' }),
  },
  {
    additionalProperties: false,
    description: 'The control plane has the new keys; the next session begins with them.',
  },
);
export type AgentRotateKeysOutput = Static<typeof AgentRotateKeysOutput>;

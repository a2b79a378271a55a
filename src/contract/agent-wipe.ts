/** `agent.wipe`: an allocation has ended, and what its tenant has left on the host goes. */
import { type Static, Type } from 'typebox';

export const AgentWipeParams = Type.Object(
  {},
  { additionalProperties: false, description: 'Wipe what the allocation of this task has left. Safe to repeat.' },
);
export type AgentWipeParams = Static<typeof AgentWipeParams>;

const paths = (description: string) =>
  Type.Array(Type.String({ maxLength: 4096, description: 'Path on the host.' }), { maxItems: 1000, description });

export const AgentWipeOutput = Type.Object(
  {
    containers: Type.Integer({ minimum: 0, description: 'Containers that were still there, and are removed.' }),
    removed: paths('Folders that are gone; of many the first.'),
    kept: paths('Folders that are file systems of their own, mounted by the operator: not of this host alone.'),
  },
  { additionalProperties: false, description: 'What became of the data of the allocation.' },
);
export type AgentWipeOutput = Static<typeof AgentWipeOutput>;

/** `agent.drain`: the host takes no new workloads, or takes them again. */
import { type Static, Type } from 'typebox';

export const AgentDrainParams = Type.Object(
  {
    drain: Type.Boolean({ description: 'True: take no new workloads. False: take them again.' }),
    reason: Type.String({
      maxLength: 256,
      pattern: '^[^\\u0000-\\u001f\\u007f]*$',
      description: 'Why, for whoever looks at the host. Part of every refusal while it drains.',
    }),
  },
  {
    additionalProperties: false,
    description: 'Begin or end a drain. Safe to repeat; kept over restarts of the agent.',
  },
);
export type AgentDrainParams = Static<typeof AgentDrainParams>;

export const AgentDrainOutput = Type.Object(
  {
    draining: Type.Boolean({ description: 'True if the host takes no new workloads now.' }),
    since: Type.Union([Type.String(), Type.Null()], {
      description: 'RFC 3339 time when the drain began; null if the host does not drain.',
    }),
    workloads: Type.Integer({ minimum: 0, description: 'Workloads on the host that are to run. They run on.' }),
    tasks: Type.Integer({ minimum: 0, description: 'Tasks that are at work or wait, without this one.' }),
  },
  { additionalProperties: false, description: 'Whether the host drains, and what is still on it.' },
);
export type AgentDrainOutput = Static<typeof AgentDrainOutput>;

/** `agent.self_update`: the host runs another version of the agent, or the one it had where that does not prove itself. */
import { type Static, Type } from 'typebox';
import { ReleaseVersion } from './release.ts';

const version = (description: string) => ({ ...ReleaseVersion, description });

/**
 * How far an update is; each is an event `update.<phase>` of the task, `downloading` more than once, with `bytes` and
 * `bytes_total`.
 *
 *   checking ─▶ downloading ─▶ verifying ─▶ draining ─▶ swapping ─▶ on_trial ─▶ committed
 *       └────────────┴─────────────┴────────────┴──▶ failed, nothing changed    └──▶ rolled_back
 */
export const updatePhases = [
  'checking',
  'downloading',
  'verifying',
  'draining',
  'swapping',
  'on_trial',
  'committed',
  'rolled_back',
] as const;
export type UpdatePhase = (typeof updatePhases)[number];

export const AgentSelfUpdateParams = Type.Object(
  {
    version: version(
      'Release to run from now on. Its files are fetched from the control plane, and believed by their signature.',
    ),
    urgent: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'True: also outside of the window of the host (`updates.window`). Pinned and skipped versions stay.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'Update the agent. Safe to repeat; ends when the new version has proven itself, or the old one is back.',
  },
);
export type AgentSelfUpdateParams = Static<typeof AgentSelfUpdateParams>;

export const AgentSelfUpdateOutput = Type.Object(
  {
    version: version('Version that the host runs now.'),
    from: version('Version that it ran before; the same where there was nothing to do.'),
    outcome: Type.Enum(['committed', 'already'], {
      description: 'committed: the new version has proven itself. already: the host ran it when the task came.',
    }),
  },
  { additionalProperties: false, description: 'What the host runs after the update.' },
);
export type AgentSelfUpdateOutput = Static<typeof AgentSelfUpdateOutput>;

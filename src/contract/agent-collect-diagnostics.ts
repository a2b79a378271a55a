/** `agent.collect_diagnostics`: what somebody who helps from afar has to see of a host, without its secrets. */
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;

export const AgentCollectDiagnosticsParams = Type.Object(
  {
    tasks: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 50, default: 10, description: 'Newest tasks whose logs are wanted.' }),
    ),
  },
  { ...closed, description: 'Look at the host and its agent. Changes nothing.' },
);
export type AgentCollectDiagnosticsParams = Static<typeof AgentCollectDiagnosticsParams>;

/** Bytes of all texts together, as they stand in JSON: the answer must pass through one frame. */
export const mostDiagnosticBytes = 512 * 1024;

export const DiagnosticFile = Type.Object(
  {
    name: Type.String({
      pattern: '^[a-z0-9][a-zA-Z0-9._-]{0,99}(/[a-zA-Z0-9][a-zA-Z0-9._-]{0,99})?$',
      description: 'Path of the file in the bundle.',
    }),
    text: Type.String({ maxLength: mostDiagnosticBytes, description: 'Its content.' }),
  },
  { ...closed, description: 'One file of the bundle.' },
);
export type DiagnosticFile = Static<typeof DiagnosticFile>;

export const AgentCollectDiagnosticsOutput = Type.Object(
  {
    collected_at: Type.String({ maxLength: 40, description: 'RFC 3339 time in UTC, by the clock of the host.' }),
    files: Type.Array(DiagnosticFile, { maxItems: 80, description: 'The bundle.' }),
    left_out: Type.Array(Type.String({ maxLength: 500 }), {
      maxItems: 100,
      description: 'What could not be had or had no room, one sentence each.',
    }),
  },
  { ...closed, description: 'A bundle for support. Secrets that the host knows are taken out of it.' },
);
export type AgentCollectDiagnosticsOutput = Static<typeof AgentCollectDiagnosticsOutput>;

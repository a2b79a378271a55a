/** Whether a task that is sent now would be taken and could be carried out. */
import type { AgentStatus } from '../local-api/agent-status.ts';

export interface Readiness {
  readonly ready: boolean;
  /** Why not, one sentence each; empty when ready. */
  readonly reasons: readonly string[];
}

export function readinessOf({ session, engine, journal, draining }: AgentStatus): Readiness {
  const connected = session.state === 'connected' || session.state === 'unconfigured';
  const reasons = [
    ...(engine.state === 'ready' ? [] : [`The engine is ${engine.state}${because(engine.reason)}.`]),
    ...(journal.failure === null ? [] : [`The journal cannot be written${because(journal.failure)}.`]),
    ...(connected ? [] : [`There is no session with ${session.url}${because(session.reason)}.`]),
    ...(draining ? ['The agent is draining.'] : []),
  ];
  return { ready: reasons.length === 0, reasons };
}

function because(reason: string | null): string {
  return reason === null ? '' : `: ${reason.replace(/\.$/, '')}`;
}

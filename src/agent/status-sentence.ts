/** How the agent is, in the words of one line: what `systemctl status` shows of it. */
import type { AgentStatus } from './local-api/agent-status.ts';
import { readinessOf } from './telemetry/readiness.ts';

export function statusSentence(status: AgentStatus): string {
  const { session, tasks, workloads } = status;
  const { ready, reasons } = readinessOf(status);
  const connection = session.state === 'unconfigured' ? 'No control plane.' : `Connected to ${session.url}.`;
  const counts = `${counted(tasks.running + tasks.waiting, 'task')}, ${counted(workloads.length, 'workload')}.`;
  return [...(ready ? [connection] : reasons), counts].join(' ');
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

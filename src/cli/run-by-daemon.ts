/** Has the daemon of this host carry out a task, in turn with those of the control plane. */
import type { LocalClient } from '../agent/local-api/client.ts';
import type { RunLine } from '../agent/local-api/lines.ts';
import { AgentError } from '../contract/failures.ts';
import type { TaskResult } from '../contract/task-envelope.ts';
import type { WorkloadEvent } from '../contract/workload-output.ts';
import type { PullCredential } from '../runtime/engine.ts';

interface RunByDaemon {
  readonly credential: PullCredential | undefined;
  /** Asks the daemon to give the task up; its result is still waited for. */
  readonly cancel: AbortSignal;
  readonly onEvent: (event: WorkloadEvent) => void;
}

/** `agent.absent` where the daemon goes away before the task ends: its next start finishes the task. */
export async function runByDaemon(
  agent: LocalClient,
  task: unknown,
  { credential, cancel, onEvent }: RunByDaemon,
): Promise<TaskResult> {
  const body = credential === undefined ? { task } : { task, credential };
  let giveUp: (() => Promise<unknown>) | undefined;
  const onCancel = () => void giveUp?.();
  cancel.addEventListener('abort', onCancel, { once: true });
  try {
    for await (const line of agent.stream<RunLine>('/v1/run-task', { body })) {
      if ('result' in line) {
        return line.result;
      }
      if ('event' in line) {
        onEvent(line.event);
        continue;
      }
      giveUp = () => agent.ask('/v1/cancel', { body: { task_id: line.task_id } });
      if (cancel.aborted) {
        await giveUp();
      }
    }
  } finally {
    cancel.removeEventListener('abort', onCancel);
  }
  throw new AgentError('agent.absent', { reason: 'It went away before the task ended; its next start finishes it.' });
}

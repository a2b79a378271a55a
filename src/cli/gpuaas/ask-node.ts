/** What is asked of a node by a task, and waited for. */
import { AgentError, type Failure, type Json } from '../../contract/failures.ts';
import { pause } from '../../kit/backoff.ts';
import type { ControlPlaneClient } from './client.ts';

export interface NodeAnswer {
  readonly task_id: string;
  readonly state: 'waiting' | 'ended';
  readonly failure: Failure | null;
}

const everyMs = 500;

/** Waits as long as the task may: the control plane ends it where the node stays away. Throws its failure. */
export async function askNode<T extends NodeAnswer>(client: ControlPlaneClient, path: string, body?: Json): Promise<T> {
  let asked = await client.change<T>('POST', path, body);
  while (asked.state !== 'ended') {
    await pause(everyMs, undefined);
    asked = await client.get<T>(`${path}/${asked.task_id}`);
  }
  const { failure } = asked;
  if (failure !== null) {
    throw new AgentError(failure.code as AgentError['code'], failure.detail as AgentError['detail']);
  }
  return asked;
}

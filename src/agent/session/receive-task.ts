/**
 * From the bytes of a delivery to a task that may be looked at: signature before parsing, schema before use, this node and
 * no other. What fails here was never accepted, and nothing is kept of it.
 */
import { AgentError } from '../../contract/failures.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { TaskEnvelope } from '../../contract/task-envelope.ts';
import { judge, type PathError } from '../../contract/validate.ts';
import type { TaskTrust } from './task-trust.ts';

/** `task.untrusted` or `task.invalid` where it is no task for this node. `now` is server time. */
export async function receiveTask(jws: string, trust: TaskTrust, nodeId: string, now: number): Promise<TaskEnvelope> {
  const bytes = await trust.prove(jws, now);
  const read = readStrictJson(bytes);
  const judged = read.ok ? judge(TaskEnvelope, read.value) : read;
  if (!judged.ok) {
    throw invalid(judged.errors);
  }
  const { node_id } = judged.value;
  if (node_id !== nodeId) {
    throw new AgentError('task.untrusted', { reason: `This node is ${nodeId}.`, node_id });
  }
  return judged.value;
}

function invalid(errors: readonly PathError[]): AgentError {
  const reason = errors.map(({ path, message }) => `${path || '/'} ${message}`).join('; ');
  return new AgentError('task.invalid', { reason: `${reason}.`, errors: errors.map((error) => ({ ...error })) });
}

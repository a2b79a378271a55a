/**
 * Runs `agent.rotate_keys`: new identity and wrapping keys, vouched for by the present ones.
 *
 * A rotation that was cut off is ended first, by whoever comes next; so one that is run again replaces keys once more, and
 * none is left half done.
 */
import { AgentError } from '../contract/failures.ts';
import type { TaskHandler } from './task-context.ts';

export const rotateAgentKeys: TaskHandler<'agent.rotate_keys'> = async (_params, { lifecycle }) => {
  if (!lifecycle) {
    const reason = 'Only a running `node-agent run` has a session to replace its keys in.';
    throw new AgentError('task.unsupported', { reason });
  }
  return { replaced_at: await lifecycle.rotateKeys() };
};

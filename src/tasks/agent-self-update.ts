/**
 * Runs `agent.self_update`: the host runs another version of the agent.
 *
 * The task outlives the process that begins it: the old version downloads, and asks for the swap; the new one goes on with
 * the same task, and ends it when it has proven itself; where it does not, the old one is back and ends it as rolled back.
 * Containers are not touched.
 */
import { AgentError } from '../contract/failures.ts';
import type { TaskHandler } from './task-context.ts';

export const updateAgent: TaskHandler<'agent.self_update'> = async (params, { lifecycle, taskId, signal, emit }) => {
  if (!lifecycle) {
    throw new AgentError('task.unsupported', {
      reason: 'Only a running `node-agent run` can be updated by a task; `node-agent update --from` works without one.',
    });
  }

  return await lifecycle.update(params, {
    ...{ taskId, signal },
    tell: (phase, message, values = {}) => emit(`update.${phase}`, message, values),
  });
};

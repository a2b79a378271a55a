/**
 * Runs `agent.collect_diagnostics`: a bundle of what somebody who helps from afar has to see.
 *
 * Changes nothing and waits for no other task. What the agent is not allowed to see is left out and named.
 */
import { AgentError } from '../contract/failures.ts';
import type { TaskHandler } from './task-context.ts';

export const collectDiagnostics: TaskHandler<'agent.collect_diagnostics'> = async (
  params,
  { lifecycle, signal, log },
) => {
  if (!lifecycle) {
    throw new AgentError('task.unsupported', {
      reason: 'Only a running `node-agent run` answers this task; `node-agent doctor --bundle FILE` works without one.',
    });
  }

  const bundle = await lifecycle.diagnose(params, signal);
  log.info({ count: bundle.files.length, failed: bundle.left_out.length }, 'diagnostics collected');
  return bundle;
};

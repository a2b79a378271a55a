/**
 * Runs `agent.drain`: the host takes no new workloads, or takes them again.
 *
 * Nothing that runs is touched, and tasks for what is there are still carried out: draining is how a host is emptied,
 * not how it is stopped.
 */
import { AgentError } from '../contract/failures.ts';
import type { TaskHandler } from './task-context.ts';

export const drainAgent: TaskHandler<'agent.drain'> = async ({ drain, reason }, { lifecycle, log }) => {
  if (!lifecycle) {
    throw new AgentError('task.unsupported', {
      reason: 'Only a running `node-agent run` can drain; this process has no life of its own.',
    });
  }

  if (drain) {
    lifecycle.beginDrain(reason);
  } else {
    lifecycle.endDrain();
  }
  const { drainingSince, workloads, tasks } = lifecycle.look();
  log.info({ status: drain ? 'draining' : 'taking work', reason, count: workloads }, 'drain set');

  return { draining: drainingSince !== null, since: drainingSince, workloads, tasks: Math.max(0, tasks - 1) };
};

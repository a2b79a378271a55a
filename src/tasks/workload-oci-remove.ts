/**
 * Runs `workload.oci_remove`: stops and removes container, network, secrets and scratch.
 *
 * Removing what is not there succeeds, so the task can be delivered twice and can finish what a killed agent began.
 */
import { AgentError } from '../contract/failures.ts';
import { containerName } from '../contract/names.ts';
import { FailedTask } from './failed-task.ts';
import { requireSay } from './fencing.ts';
import { refuseStack } from './find-stack.ts';
import { removeWorkload } from './remove-workload.ts';
import type { TaskContext, TaskHandler } from './task-context.ts';
import { workloadOutput } from './workload-report.ts';

export const removeOci: TaskHandler<'workload.oci_remove'> = async (params, context) => {
  const { identity } = params;
  const { engine, signal, log } = context;
  const name = containerName(identity.app_instance_id);

  const container = await engine.inspect(name, signal);
  if (container) {
    requireSay(container, identity, context.fencing);
  } else {
    await refuseStack(identity.app_instance_id, context);
  }
  context.enter('removing');
  if (container?.status === 'running') {
    await stopPolitely(name, params.grace_seconds, context);
  }

  const { cleanup, containersGone, error } = await removeWorkload(
    identity,
    { data: !params.keep_data },
    engine,
    signal,
  );
  log.info({ removed: cleanup.removed, kept: cleanup.kept, failed: cleanup.failed }, 'workload removed');
  if (containersGone) {
    context.gpus.release(identity.app_instance_id);
  }
  if (cleanup.failed.length > 0) {
    throw new FailedTask(error, (failure) =>
      workloadOutput(
        identity,
        {
          state: 'failed',
          summary: 'Parts of the workload could not be removed.',
          container: undefined,
          cleanup,
          failure,
        },
        context,
      ),
    );
  }

  context.enter('removed');
  const summary = cleanup.removed.length > 0 ? 'The workload is removed.' : 'There was nothing to remove.';
  return workloadOutput(identity, { state: 'removed', summary, container: undefined, cleanup }, context);
};

/** A chance to end well. Whoever does not take it is removed by force. */
async function stopPolitely(name: string, graceSeconds: number, { engine, signal, log }: TaskContext): Promise<void> {
  try {
    await engine.stop(name, graceSeconds, signal);
  } catch (error) {
    if (signal.aborted || !(error instanceof AgentError)) {
      throw error;
    }
    log.warn({ container: name, err: error }, 'workload did not stop, it is removed by force');
  }
}

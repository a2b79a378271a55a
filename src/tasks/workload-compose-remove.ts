/**
 * Runs `workload.compose_remove`: stops the services in the order of their dependencies, and removes containers, network,
 * secrets, document and scratch.
 *
 * Removing what is not there succeeds, so the task can be delivered twice and can finish what a killed agent began. Where
 * Compose cannot stop a stack, it is removed by force.
 */
import { AgentError } from '../contract/failures.ts';
import { composeOptions } from './bring-up-stack.ts';
import { FailedTask } from './failed-task.ts';
import { type FoundStack, findStack } from './find-stack.ts';
import { removeContainers } from './remove-stack.ts';
import { stackOutput } from './stack-report.ts';
import { topologyOf } from './stack-services.ts';
import type { TaskContext, TaskHandler } from './task-context.ts';

export const removeStack: TaskHandler<'workload.compose_remove'> = async (params, context) => {
  const { identity } = params;
  const { signal, log, stackParams } = context;
  const found = await findStack(identity, [], context);
  const topology = topologyOf(stackParams, found);

  context.enter('removing');
  if ([...found.values()].some(({ status }) => status === 'running')) {
    await stopPolitely(identity.app_instance_id, params.grace_seconds, found, context);
  }
  const what = { data: !params.keep_data };
  const { cleanup, containersGone, error } = await removeContainers(identity, [...found.keys()], what, context, signal);
  if (containersGone) {
    context.gpus.release(identity.app_instance_id);
  }
  log.info({ removed: cleanup.removed, kept: cleanup.kept, failed: cleanup.failed }, 'stack removed');
  if (cleanup.failed.length > 0) {
    throw new FailedTask(error, (failure) => {
      const summary = 'Parts of the stack could not be removed.';
      return stackOutput(identity, { state: 'failed', summary, topology, found: new Map(), cleanup, failure }, context);
    });
  }

  context.enter('removed');
  const summary = cleanup.removed.length > 0 ? 'The stack is removed.' : 'There was nothing to remove.';
  return stackOutput(identity, { state: 'removed', summary, topology, found: new Map(), cleanup }, context);
};

/** A chance to end well, those first that others do not depend on. Whoever does not take it is removed by force. */
async function stopPolitely(
  instance: string,
  graceSeconds: number,
  found: FoundStack,
  context: TaskContext,
): Promise<void> {
  const containers = new Map([...found].map(([service, { name }]) => [service, name]));
  try {
    await context.stacks.stop(instance, graceSeconds, composeOptions(context, containers));
  } catch (error) {
    if (context.signal.aborted || !(error instanceof AgentError)) {
      throw error;
    }
    context.log.warn({ err: error }, 'stack did not stop, it is removed by force');
  }
}

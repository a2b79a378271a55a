/**
 * Runs `agent.wipe`: nothing of the tenant is left on the host when it succeeds.
 *
 * Its instances were decommissioned before; what is here still is what nobody asked for any more: containers that a launch
 * on the host made, data that was kept, folders of what the control plane has forgotten. Safe to run twice: a wipe that was
 * interrupted goes on with what is left.
 */
import { AgentError } from '../contract/failures.ts';
import { labels } from '../contract/names.ts';
import type { DataRemoval } from '../runtime/engine.ts';
import type { TaskContext, TaskHandler } from './task-context.ts';

/** What a result names at most; the rest is as gone. */
const mostNamed = 1000;

export const wipeAgent: TaskHandler<'agent.wipe'> = async (_params, context) => {
  const { engine, signal, log, gpus } = context;
  // What is left of them goes below with everything else.
  await context.jobs.groups.endIdle({ engine, idleSeconds: 0 }).catch((error: unknown) => {
    if (!(error instanceof AgentError)) throw error;
    log.warn({ err: error }, 'shared services could not be ended');
  });
  let containers = 0;
  for (const { name, labels: carried } of await engine.list(signal)) {
    if (await engine.remove(name, signal)) containers += 1;
    gpus.release(carried[labels.instance] ?? name);
  }
  for (const { name } of await engine.networks(signal)) await engine.removeNetwork(name, signal);
  const { removed, kept } = await wipe(context);
  log.info({ count: containers, removed, kept }, 'data of the allocation wiped');
  return { containers, removed: removed.slice(0, mostNamed), kept: kept.slice(0, mostNamed) };
};

/** What takes longer than one call goes on in the next, until the deadline of the task. */
async function wipe({ engine, signal, log }: TaskContext): Promise<DataRemoval> {
  for (;;) {
    try {
      return await engine.wipe(signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof AgentError && error.code === 'engine.timed_out')) throw error;
      log.info({}, 'there is more to be wiped');
    }
  }
}

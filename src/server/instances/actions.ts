/** Stop, start, restart and decommission: what each needs, and the task that carries it out. */
import { AgentError } from '../../contract/failures.ts';
import type { Identity } from '../../contract/identifiers.ts';
import { livingStates } from '../../contract/instance-state.ts';
import type { ControlAction } from '../adapters/adapter.ts';
import { adapterOf } from '../adapters/index.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Cause } from '../db/events.ts';
import type { Tx } from '../db/store.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import { jobsAtWork } from '../jobs/jobs-at-work.ts';
import { lookAtNode, notSeen } from '../launch/preflight.ts';
import { refusal, refused } from '../launch/refusal.ts';
import { amountWords, misfits } from '../launch/resource-fit.ts';
import { revokeToken } from '../resources/end-tokens.ts';
import { endIfEmpty } from '../resources/release-allocation.ts';
import { change } from './instance-states.ts';
import { type Launching, queueTask } from './launching.ts';
import { hasNothingLeft } from './nothing-left.ts';
import { allows, isDone, isLeaving, ways } from './possible-actions.ts';
import { relaunch } from './relaunch.ts';

/**
 * Queues the action. What is done or under way already is left alone, so a repetition is harmless. Where nothing is left of
 * an instance, start and restart launch it anew. `instance.wrong_state` where the state does not allow the action.
 */
export async function control(
  tx: Tx,
  launching: Launching,
  cause: Cause,
  instance: AppInstance,
  action: ControlAction,
): Promise<AppInstance> {
  if (hasNothingLeft(instance)) {
    if (action !== 'stop') return relaunch(tx, launching, cause, instance);
    const reason = 'Nothing of it is left to be stopped: restart launches it anew, decommission ends it.';
    throw new AgentError('instance.wrong_state', { reason });
  }
  if (isDone(instance, action)) return instance;
  if (!allows(instance, action)) throw wrongState(instance, action);
  if (action !== 'stop') await assertMayStart(tx, instance, cause.now);

  const asked = { ...instance, trace_id: cause.correlationId };
  const task = adapterOf(instance.engine).control(identityOf(instance), action, instance.config);
  const { id } = await queueTask(tx, launching.queue, asked, task, action);
  return change(tx, asked, {
    ...{ to: ways[action].via, reason: `${action} was asked for.`, actor: cause.who.actor, at: cause.now },
    set: { current_task_id: id, desired: action === 'stop' ? 'stopped' : 'running', failure: null },
  });
}

/**
 * What stood still has given its cores and its memory away: starting it takes them anew, like a launch. It has its cards. What
 * is retired may be started again, what is revoked not: nobody stands behind what it would run.
 */
async function assertMayStart(tx: Tx, instance: AppInstance, now: number): Promise<void> {
  const allocation = await tx.allocations.get(instance.allocation_id);
  if (allocation?.state !== 'active') throw refused([refusal('launch.allocation_not_active', '')]);
  const node = instance.node_id === null ? undefined : await tx.nodes.get(instance.node_id);
  const look = lookAtNode(node, adapterOf(instance.engine), now);
  const all = await tx.app_instances.list({ where: { allocation_id: instance.allocation_id, state: livingStates } });
  const jobs = (await jobsAtWork(tx, instance.project_id)).get(instance.allocation_id) ?? [];
  const neighbours = [...all.filter(({ id }) => id !== instance.id), ...jobs];
  const { certain, isUnsure } = misfits(instance.resources, allocation.shape, neighbours);
  const artifact = await tx.artifacts.get(instance.artifact_id);
  const refusals = [
    ...(artifact?.trust === 'revoked' ? [refusal('launch.artifact_untrusted', '', 'It was revoked.')] : []),
    ...(look.is === 'refused' && look.refusal.code === 'launch.node_unavailable' ? [look.refusal] : []),
    ...(isUnsure ? [notSeen(node)] : []),
    ...certain.map(({ name, wanted, free }) =>
      refusal('launch.resources_exceed_allocation', '', `${amountWords[name]}: ${wanted} needed, ${free} free.`),
    ),
  ];
  if (refusals.length > 0) throw refused(refusals);
}

/**
 * Takes an instance away, from whatever state it is in. What is under way for it is given up first. With a node that will
 * never come back there is nobody to ask: the instance ends, and its cleanup says what may be left.
 */
export async function decommission(tx: Tx, queue: TaskQueue, cause: Cause, instance: AppInstance, keepData: boolean) {
  if (isLeaving(instance)) return instance;
  const { actor } = cause.who;
  if (instance.service_token_id) await revokeToken(tx, instance.service_token_id, cause.now);
  const before = instance.current_task_id;
  // One that is being launched anew was there before.
  const wasSent = instance.state !== 'requested' || instance.history.some(({ state }) => state === 'deploying');
  const asked = { ...instance, trace_id: cause.correlationId };
  const leaving = await change(tx, asked, {
    ...{ to: 'decommissioning', reason: 'It is being taken away.', actor, at: cause.now },
    set: { desired: 'decommissioned', current_task_id: null, failure: null },
  });
  const node = instance.node_id === null ? undefined : await tx.nodes.get(instance.node_id);
  // A quarantine may end: what runs there is taken away then.
  if (!wasSent || node === undefined || node.status === 'revoked') {
    const failed = wasSent ? [`container of ${instance.id}: its host is gone for good`] : [];
    return finish(tx, queue, cause, leaving, { removed: [], kept: [], failed });
  }
  const task = adapterOf(instance.engine).remove(identityOf(instance), keepData);
  const { id } = await queueTask(tx, queue, leaving, task, 'decommission');
  const next = { ...leaving, current_task_id: id };
  await tx.app_instances.put(next);
  if (before !== null) await queue.cancel(tx, before);
  return next;
}

/** Nothing of it is left to be taken away. The last of an allocation that is being released ends the allocation. */
export async function finish(
  tx: Tx,
  queue: TaskQueue,
  cause: Cause,
  instance: AppInstance,
  cleanup: AppInstance['cleanup'],
) {
  const done = await change(tx, instance, {
    ...{ to: 'decommissioned', reason: 'It was taken away.', actor: cause.who.actor, at: cause.now },
    set: { cleanup, failure: null, endpoints: [], sealed_files: {}, sealed_env: {} },
  });
  await endIfEmpty(tx, queue, cause, done.allocation_id);
  return done;
}

export function identityOf(instance: AppInstance): Identity {
  const { project_id, id, allocation_id, app_slug, app_version, display_name } = instance;
  return { project_id, app_instance_id: id, allocation_id, app_slug, app_version, display_name };
}

function wrongState({ state }: AppInstance, action: string): AgentError {
  const reason =
    state === 'decommissioned'
      ? 'It is decommissioned, and that is final. Launch the app as a new instance.'
      : `It is ${state}, and ${action} needs another state.`;
  return new AgentError('instance.wrong_state', { reason });
}

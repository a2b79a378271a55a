/** The way of an instance to its node: preflight where nobody knows, then the launch task, in the same transaction. */
import type { AgentError } from '../../contract/failures.ts';
import type { AdapterTask } from '../adapters/adapter.ts';
import { adapterOf } from '../adapters/index.ts';
import { launchSeconds } from '../adapters/workload-params.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Node } from '../db/entities/node.ts';
import type { Task } from '../db/entities/task.ts';
import type { Tx } from '../db/store.ts';
import { type TaskQueue, validSeconds } from '../hub/task-queue.ts';
import { adapterInput } from '../launch/adapter-input.ts';
import { type CheckedLaunch, checkLaunch } from '../launch/checks.ts';
import type { LaunchEnvironment } from '../launch/environment.ts';
import type { LaunchRequest } from '../launch/launch-request.ts';
import { loadFacts } from '../launch/load-facts.ts';
import { type Preflight, preflightSeconds } from '../launch/preflight.ts';
import { refused } from '../launch/refusal.ts';
import { change } from './instance-states.ts';

export interface Launching {
  readonly queue: TaskQueue;
  readonly environment: LaunchEnvironment;
}

/** A task for an instance; it becomes the one whose result counts. */
export async function queueTask(
  tx: Tx,
  queue: TaskQueue,
  instance: AppInstance,
  task: AdapterTask,
  purpose: Task['purpose'],
): Promise<Task> {
  if (instance.node_id === null) throw new Error(`instance ${instance.id} has no node`);
  return queue.enqueue(tx, {
    ...{ ...task, purpose, node_id: instance.node_id, allocation_id: instance.allocation_id },
    ...{ workload_id: instance.id, instance_id: instance.id, project_id: instance.project_id },
    trace_id: instance.trace_id,
  });
}

/** Renders the launch and queues it; the instance is `deploying` in the same transaction. */
export async function deploy(tx: Tx, queue: TaskQueue, instance: AppInstance, launch: CheckedLaunch, now: number) {
  const { id, node_id: nodeId, sealed_files: sealedFiles, sealed_env: sealedEnv = {}, engine } = instance;
  if (nodeId === null) throw new Error(`instance ${id} has no node`);
  const placed = { instanceId: id, nodeId, sealedFiles, sealedEnv };
  const rendered = adapterOf(engine).launch(adapterInput(launch, placed));
  const task = await queueTask(tx, queue, instance, rendered, 'launch');
  return change(tx, instance, {
    ...{ to: 'deploying', reason: 'Waiting for the node to launch it.', actor: 'system', at: now },
    set: { current_task_id: task.id },
  });
}

/** Asks the node what it can run, unless it is asked already. `seconds` is how long its answer may take. */
export async function askRuntime(tx: Tx, queue: TaskQueue, node: Node, traceId: string) {
  const open = await tx.tasks.list({ where: { node_id: node.id, state: ['queued', 'leased', 'accepted'] } });
  const task =
    open.find(({ purpose }) => purpose === 'preflight') ??
    (await queue.enqueue(tx, {
      ...{ node_id: node.id, allocation_id: node.allocation_id, type: 'workload.oci_runtime_status', params: {} },
      ...{ purpose: 'preflight', trace_id: traceId },
      ...{ deadline_seconds: preflightSeconds, valid_seconds: preflightSeconds },
    }));
  return { task, seconds: 2 * preflightSeconds };
}

/** Launches that wait already share the question. */
export async function askNode(tx: Tx, queue: TaskQueue, instance: AppInstance, node: Node): Promise<AppInstance> {
  const { task: question } = await askRuntime(tx, queue, node, instance.trace_id);
  const next = { ...instance, current_task_id: question.id };
  await tx.app_instances.put(next);
  return next;
}

/** The answer is there. What was checked when the launch was accepted is checked again: it may have changed since. */
export async function goOn(
  tx: Tx,
  { queue, environment }: Launching,
  instance: AppInstance,
  answer: Preflight,
  now: number,
) {
  const request = requestOf(instance);
  const facts = await loadFacts(tx, request, instance.project_id, environment, instance.id);
  const checked = checkLaunch(facts);
  const refusals = answer.is === 'refused' ? [answer.refusal] : checked.ok ? [] : checked.refusals;
  if (refusals.length > 0 || !checked.ok) return fail(tx, instance, refused(refusals), now);
  return deploy(tx, queue, instance, checked.launch, now);
}

/** Most seconds from the request until a launch has ended. */
export function longestLaunch({ config }: Pick<AppInstance, 'config'>): number {
  return preflightSeconds + validSeconds + launchSeconds(config);
}

/** The launch ends here, with a reason. */
export async function fail(tx: Tx, instance: AppInstance, error: AgentError, now: number): Promise<AppInstance> {
  const failure = error.toFailure();
  return change(tx, instance, { to: 'failed', reason: failure.message, actor: 'system', at: now, set: { failure } });
}

/** The launch as it was accepted: every choice as a value. */
export function requestOf(instance: AppInstance): LaunchRequest {
  const { gpu_count, cpu_cores, memory_gib } = instance.resources;
  return {
    ...{ app_slug: instance.app_slug, app_version: instance.app_version, display_name: instance.display_name },
    placement_intent: { target_allocation_id: instance.allocation_id },
    artifact_id: instance.artifact_id,
    config: instance.config as NonNullable<LaunchRequest['config']>,
    resource_overrides: { gpu_count, cpu_cores, memory_gib },
    ...(instance.access_credential_id ? { access_credential_id: instance.access_credential_id } : {}),
    ...(instance.service_account_id ? { service_account_id: instance.service_account_id } : {}),
  };
}

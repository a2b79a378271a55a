/**
 * Runs `workload.compose_launch`: pull every image by digest, bring the services up in the order of their dependencies, wait
 * for readiness.
 *
 * Safe to run twice: containers and network are named after instance and service and sealed by the gate, so an agent that was
 * killed anywhere in here finds what it left behind and goes on with it: what is missing is made, what has stopped is started.
 * A launch that fails takes away what it made.
 */
import { AgentError } from '../contract/failures.ts';
import { containerName, labels } from '../contract/names.ts';
import type { WorkloadComposeLaunchParams } from '../contract/workload-compose-launch.ts';
import type { Cleanup, StackOutput } from '../contract/workload-output.ts';
import { checkStackParams } from '../policy/check-stack.ts';
import { renderStack, type StackInput, type StackWanted, stackSpecOf } from '../policy/render-stack.ts';
import { cardsOf, portsOf, resourcesOf, servicesOf } from '../policy/stack-service.ts';
import { assertPortFree } from '../runtime/ports.ts';
import { StackWatch } from '../runtime/probes/until-stack-ready.ts';
import { bringUp } from './bring-up-stack.ts';
import { FailedTask } from './failed-task.ts';
import { fencingOf } from './fencing.ts';
import { type FoundStack, findStack } from './find-stack.ts';
import { keepOutput } from './keep-output.ts';
import { obtainStackImages } from './obtain-stack-images.ts';
import { ensureOwnNetwork } from './own-network.ts';
import { underParams, underParamsOf } from './param-paths.ts';
import { checksNow, isReady } from './ready-now.ts';
import { removeContainers } from './remove-stack.ts';
import { stackOutput } from './stack-report.ts';
import { openStackEnv, openStackFiles, type StackFiles, writeStackFiles } from './stack-secrets.ts';
import { isAsStarted, servicesOfLaunch } from './stack-services.ts';
import type { TaskContext, TaskHandler } from './task-context.ts';
import { tellWaiting } from './tell-waiting.ts';

export const launchStack: TaskHandler<'workload.compose_launch'> = async (params, context) => {
  const { policy, signal, log, stacks, engine } = context;
  const { identity, topology } = params;

  underParams(() => checkStackParams(params, policy));
  await inDocument(context.admission.assertPossible(resourcesOf(params)));
  // Begun while the engine is waited for; whoever needs them is told what went wrong.
  const files = openStackFiles(params, context);
  files.catch(() => undefined);
  const services = servicesOf(params).map(([name]) => name);
  const [composeVersion, found] = await Promise.all([stacks.version(signal), findStack(identity, services, context)]);
  await assertPortsFree(params, found);
  const anything = await isHalfMade(params, found, context);
  const made: Made = { anything, freshData: false, services: [...services, ...found.keys()] };
  let watch: StackWatch | undefined;
  try {
    // Early, so that nothing is pulled in vain. A stack that is there has its cards.
    if (found.size === 0 && context.lacking !== undefined) throw context.lacking;
    const cards = found.size > 0 ? undefined : await leaseCards(params, context);
    context.enter('pulling');
    const images = await obtainStackImages(params, context);
    const sealedEnv = await openStackEnv(params, context);
    const { taskId, fencing } = context;
    const wanted = { params, policy, images, sealedEnv, taskId, fencing };
    watch = new StackWatch(servicesOfLaunch(params, sealedEnv), { engine, signal });
    const adopted = await ensureUp(wanted, { found, files, watch, cards }, made, context);
    context.enter('probing');
    const looking = watch;
    const ready = await tellWaiting(context, (note) => looking.untilReady(note));
    context.gpus.settle(identity.app_instance_id, [...ready.values()]);
    context.enter('running');
    log.info({ count: ready.size, adopted }, 'stack running');
    const report = { state: 'running', summary: 'The stack is running and ready.', topology } as const;
    return stackOutput(identity, { ...report, found: ready, adopted, composeVersion }, context);
  } catch (error) {
    throw await undo(params, made, found, error, context);
  } finally {
    watch?.end();
  }
};

/** What is asked of the host, with the path of who asks: the services together. */
async function inDocument<T>(work: Promise<T>): Promise<T> {
  return await underParamsOf(work, () => '/params/document/services');
}

/**
 * True if an earlier run of this very task left a stack that never got ready. What another task launched, and what is at
 * work, is not this launch's to take away, unless it replaces or starts it.
 */
async function isHalfMade(
  params: WorkloadComposeLaunchParams,
  found: FoundStack,
  context: TaskContext,
): Promise<boolean> {
  const { taskId, engine, signal } = context;
  if (![...found.values()].some((container) => container.labels[labels.task] === taskId)) {
    return false;
  }
  const services = servicesOfLaunch(params, await openStackEnv(params, context)).map((service) => ({
    ...service,
    checks: checksNow(service.checks),
  }));
  const watch = new StackWatch(services, { engine, signal });
  try {
    return !(await isReady(watch.untilReady(), signal));
  } finally {
    watch.end();
  }
}

/** Early, so that nothing is pulled or replaced in vain. Ports that the stack holds itself are its own. */
async function assertPortsFree(params: WorkloadComposeLaunchParams, found: FoundStack): Promise<void> {
  const running = [...found.values()].filter(({ status }) => status === 'running' || status === 'paused');
  const own = running.flatMap(({ hostPorts }) => hostPorts);
  for (const [name, service] of servicesOf(params)) {
    for (const [index, { host_port }] of portsOf(service).entries()) {
      if (!own.includes(host_port)) {
        await assertPortFree(host_port, `/params/document/services/${name}/ports/${index}/published`);
      }
    }
  }
}

/** What this launch has to take away again if it fails. */
interface Made {
  /** True once there may be something of this instance on the engine that is not to stay. */
  anything: boolean;
  /** True if its scratch folders did not exist before. */
  freshData: boolean;
  /** Services that may have a container. */
  readonly services: readonly string[];
}

interface Before {
  readonly found: FoundStack;
  readonly files: Promise<StackFiles>;
  readonly watch: StackWatch;
  readonly cards: StackInput['cards'] | undefined;
}

async function leaseCards(
  params: WorkloadComposeLaunchParams,
  { gpus, signal }: TaskContext,
): Promise<StackInput['cards']> {
  const asks = servicesOf(params).map(([service, declared]) => ({
    ...{ service, count: cardsOf(declared), sandbox: params.sandbox },
  }));
  return await gpus.lease(params.identity.app_instance_id, asks, signal);
}

/** Leaves exactly the containers of this spec on the engine, started; true if all of them were there already. */
async function ensureUp(
  wanted: StackWanted,
  { found, files: opening, watch, cards: leased }: Before,
  made: Made,
  context: TaskContext,
): Promise<boolean> {
  const { admission, engine, signal } = context;
  const { params } = wanted;
  const { identity } = params;
  const spec = underParams(() => stackSpecOf(wanted));
  const there = [...found.values()];
  const isSame = there.every((container) => container.labels[labels.spec] === spec);
  const adopted = isSame && found.size === servicesOf(params).length;
  context.enter('creating');
  if (adopted && [...found].every(([service, container]) => isAsStarted(params, service, container))) {
    context.enter('starting');
    return true;
  }
  // Opened before anything is replaced: what cannot be opened must not cost the stack that runs.
  const files = await opening;
  const release = await inDocument(admission.reserve(identity.app_instance_id, resourcesOf(params), signal, engine));
  try {
    // Of a stack that is replaced as well: one that cannot have its cards must not cost the stack that runs.
    const cards = leased ?? (await leaseCards(params, context));
    const rendered = underParams(() => renderStack({ ...wanted, cards }));
    if (!isSame) {
      await replace(params, found, made, context);
    }
    await endPaused(isSame ? found : new Map(), context);
    await assertPortsFree(params, isSame ? found : new Map());
    made.freshData = found.size === 0 && (await hasNoData(params, context));
    made.anything = true;
    // Each to its end, also where another one failed.
    const begun = await Promise.allSettled([
      ensureOwnNetwork(identity, engine),
      writeStackFiles(identity.app_instance_id, files, engine),
    ]);
    const failed = begun.find((each) => each.status === 'rejected');
    if (failed) {
      throw failed.reason;
    }
    signal.throwIfAborted();
    await bringUp(identity.app_instance_id, rendered, watch, context);
    return adopted;
  } finally {
    release();
  }
}

/** Takes the old containers away for a newer spec. Its data stays. */
async function replace(
  { identity }: WorkloadComposeLaunchParams,
  found: FoundStack,
  made: Made,
  context: TaskContext,
): Promise<void> {
  const seen = Math.max(...[...found.values()].map(fencingOf));
  if (context.fencing <= seen) {
    throw new AgentError('task.stale', {
      reason: `Another spec was launched under fencing ${seen}.`,
      ...{ fencing: context.fencing, seen },
    });
  }
  context.emit('stack.replaced', 'The containers of an older spec are taken away.', { count: found.size });
  made.anything = true;
  const { error } = await removeContainers(identity, [...found.keys()], { data: false }, context, context.signal);
  if (error !== undefined) {
    throw error;
  }
}

/** How long what was paused may take to end by itself. */
const pausedGraceSeconds = 10;

/** What somebody has paused is started anew, as a single container is. */
async function endPaused(found: FoundStack, { engine, signal, emit }: TaskContext): Promise<void> {
  for (const [service, { name, status }] of found) {
    if (status === 'paused') {
      emit('service.paused', `Somebody has paused ${service}; it is ended and started again.`, { service });
      await engine.stop(name, pausedGraceSeconds, signal);
    }
  }
}

/** True if nothing of an earlier launch is in the scratch folders: they may be taken away again. */
async function hasNoData({ identity }: WorkloadComposeLaunchParams, { engine, signal }: TaskContext): Promise<boolean> {
  const { kept } = await engine.removeData(identity.app_instance_id, { data: false }, signal);
  return kept.length === 0;
}

/** Longest that the clean-up after a failure may take. It must end even if the task's own time is over. */
const undoTimeoutMs = 60_000;

async function undo(
  params: WorkloadComposeLaunchParams,
  made: Made,
  found: FoundStack,
  cause: unknown,
  context: TaskContext,
): Promise<FailedTask> {
  const kept = [...found.values()].map(({ name }) => `container ${name}`);
  const cleanup = made.anything ? await takeAway(params, made, context) : { removed: [], kept, failed: [] };
  if (!made.anything) {
    // Cards that were leased for what was not made are free again; those of what was there are its own.
    context.gpus.settle(params.identity.app_instance_id, [...found.values()]);
  }
  const summary = made.anything ? 'The launch did not succeed and was undone.' : 'The launch did not succeed.';
  return new FailedTask(cause, (failure): StackOutput => {
    const left = made.anything ? new Map() : found;
    const report = { state: 'failed', summary, topology: params.topology, found: left, cleanup, failure } as const;
    return stackOutput(params.identity, report, context);
  });
}

async function takeAway({ identity }: WorkloadComposeLaunchParams, made: Made, context: TaskContext): Promise<Cleanup> {
  const limit = AbortSignal.timeout(undoTimeoutMs);
  const services = [...new Set(made.services)];
  await Promise.all(
    services.map(async (service) => {
      const log = context.log.child({ service });
      await keepOutput(containerName(identity.app_instance_id, service), { engine: context.engine, log }, limit);
    }),
  );
  const { cleanup, containersGone } = await removeContainers(
    identity,
    services,
    { data: made.freshData },
    context,
    limit,
  );
  if (containersGone) {
    context.gpus.release(identity.app_instance_id);
  }
  context.log.warn({ removed: cleanup.removed, failed: cleanup.failed }, 'launch undone');
  return cleanup;
}

/**
 * Runs `workload.oci_launch`: pull by digest, create, start, install packages, wait for readiness.
 *
 * Safe to run twice: container and network are named after the instance and sealed by the gate, so an agent that was
 * killed anywhere in here finds what it left behind and goes on with it. A launch that fails takes away what it made.
 */
import { AgentError } from '../contract/failures.ts';
import { containerName, labels } from '../contract/names.ts';
import type { WorkloadOciLaunchParams } from '../contract/workload-oci-launch.ts';
import type { Cleanup, WorkloadOutput } from '../contract/workload-output.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import { type GivenCards, noCards } from '../policy/given-cards.ts';
import { checkParams, renderContainer, specOf } from '../policy/render-container.ts';
import type { RenderInput } from '../policy/render-request.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import { assertPortFree } from '../runtime/ports.ts';
import { untilReady } from '../runtime/probes/until-ready.ts';
import { FailedTask } from './failed-task.ts';
import { fencingOf, requireSay } from './fencing.ts';
import { refuseStack } from './find-stack.ts';
import { installPackages } from './install-packages.ts';
import { keepOutput } from './keep-output.ts';
import { obtainImage } from './obtain-image.ts';
import { ensureOwnNetwork } from './own-network.ts';
import { underParams } from './param-paths.ts';
import { checksNow, isReady } from './ready-now.ts';
import { removeWorkload } from './remove-workload.ts';
import { openSecretEnv, openSecretFiles, type SecretFiles, writeSecretFiles } from './secret-files.ts';
import type { TaskContext, TaskHandler } from './task-context.ts';
import { tellWaiting } from './tell-waiting.ts';
import { workloadOutput } from './workload-report.ts';

export const launchOci: TaskHandler<'workload.oci_launch'> = async (params, context) => {
  const { engine, policy, signal, log } = context;
  const name = containerName(params.identity.app_instance_id);

  underParams(() => checkParams(params, policy));
  await context.admission.assertPossible(params.resources);
  // Begun while the engine is waited for; whoever needs them is told what went wrong.
  const files = openSecretFiles(params, context);
  files.catch(() => undefined);
  const [found] = await Promise.all([
    engine.inspect(name, signal),
    refuseStack(params.identity.app_instance_id, context),
  ]);
  if (found) {
    requireSay(found, params.identity, context.fencing);
  }
  await assertPortsFree(params, found);
  const made: Made = { anything: await isHalfMade(params, found, context), freshData: false, found };
  try {
    // Early, so that nothing is pulled in vain. A container that is there has its cards.
    if (!found && context.lacking !== undefined) throw context.lacking;
    const cards = found ? undefined : await leaseCards(params, context);
    context.enter('pulling');
    const image = await obtainImage(params, context);
    const sealedEnv = await openSecretEnv(params, context);
    const { taskId, fencing } = context;
    const wanted = { params, policy, image, taskId, fencing, sealedEnv };
    const adopted = await ensureStarted(wanted, { found, files, cards }, made, context);
    const excerpt = await makePackaged(params, name, context);
    context.enter('probing');
    const ready = { engine, name, ports: params.ports, sealedEnv, signal };
    const container = await tellWaiting(context, (onAttempt) => untilReady(params.readiness, { ...ready, onAttempt }));
    context.gpus.settle(params.identity.app_instance_id, [container]);
    context.enter('running');
    log.info({ container: name, image: container.imageReference, adopted }, 'workload running');
    return workloadOutput(
      params.identity,
      {
        ...{ state: 'running', summary: 'The workload is running and ready.', container },
        adapter: { adopted, packages_excerpt: excerpt },
      },
      context,
    );
  } catch (error) {
    throw await undo(params, made, error, context);
  }
};

/**
 * True if an earlier run of this very task left a container that never got ready. What another task launched, and what
 * is at work, is not this launch's to take away, unless it replaces or starts it.
 */
async function isHalfMade(
  params: WorkloadOciLaunchParams,
  found: ContainerFacts | undefined,
  context: TaskContext,
): Promise<boolean> {
  const { engine, signal, taskId } = context;
  if (found?.labels[labels.task] !== taskId) {
    return false;
  }
  const sealedEnv = await openSecretEnv(params, context);
  const target = { engine, name: found.name, ports: params.ports, sealedEnv, signal };
  return !(await isReady(untilReady(checksNow(params.readiness), target), signal));
}

/** Early, so that nothing is pulled or replaced in vain. Ports that the instance holds itself are its own. */
async function assertPortsFree({ ports }: WorkloadOciLaunchParams, found: ContainerFacts | undefined): Promise<void> {
  const own = found && ['running', 'paused'].includes(found.status) ? found.hostPorts : [];
  for (const [index, { host_port }] of ports.entries()) {
    if (!own.includes(host_port)) {
      await assertPortFree(host_port, `/params/ports/${index}/host_port`);
    }
  }
}

/** What this launch has to take away again if it fails. */
interface Made {
  /** True once there may be something of this instance on the engine. */
  anything: boolean;
  /** True if its scratch folders did not exist before. */
  freshData: boolean;
  /** What was there before; it stays as it is unless this launch replaces or starts it. */
  readonly found: ContainerFacts | undefined;
}

type Wanted = Omit<RenderInput, 'cards'>;

/** What the launch came upon, and what it had prepared by then. */
interface Findings {
  readonly found: ContainerFacts | undefined;
  readonly files: Promise<SecretFiles>;
  readonly cards: GivenCards | undefined;
}

async function leaseCards(
  { identity, resources, sandbox }: WorkloadOciLaunchParams,
  { gpus, signal }: TaskContext,
): Promise<GivenCards> {
  const ask = { service: null, count: resources.gpu_count, sandbox };
  const leased = await gpus.lease(identity.app_instance_id, [ask], signal);
  return leased.get(null) ?? noCards;
}

/** Leaves exactly one container of this spec on the engine, started; true if it was there already. */
async function ensureStarted(
  wanted: Wanted,
  { found, files: opening, cards: leased }: Findings,
  made: Made,
  context: TaskContext,
): Promise<boolean> {
  const { admission, engine, signal } = context;
  const { params } = wanted;
  const spec = underParams(() => specOf(wanted));
  const adopt = found?.labels[labels.spec] === spec;
  context.enter('creating');
  if (adopt && found.status === 'running') {
    // Launched by another task and at work: should this one fail, it is left as it is.
    context.enter('starting');
    return true;
  }
  // Opened before anything is replaced: what cannot be opened must not cost the workload that runs.
  const files = await opening;
  // What does not run holds nothing, so a container that is started again has to fit as well.
  const release = await admission.reserve(params.identity.app_instance_id, params.resources, signal, engine);
  try {
    // Of a container that is replaced as well: one that cannot have its cards must not cost the workload that runs.
    const cards = adopt ? noCards : (leased ?? (await leaseCards(params, context)));
    if (found && !adopt) {
      await replace(params, found, made, context);
    }
    if (adopt) {
      await endPaused(found, context);
    }
    await assertPortsFree(params, undefined);
    made.anything = true;
    // Each to its end, also where another one failed.
    const begun = await Promise.allSettled([
      // Takes an engine longer than all else before the start, so the container is made beside it.
      ensureOwnNetwork(params.identity, engine),
      adopt ? putSecretFiles(params, files, context) : createContainer({ ...wanted, cards }, files, made, context),
    ]);
    const failed = begun.find((each) => each.status === 'rejected');
    if (failed) {
      throw failed.reason;
    }
    signal.throwIfAborted();
    context.enter('starting');
    await engine.start(containerName(params.identity.app_instance_id), signal);
    return adopt;
  } finally {
    release();
  }
}

/** Takes the old container away for a newer spec. Its data stays. */
async function replace(
  params: WorkloadOciLaunchParams,
  found: ContainerFacts,
  made: Made,
  context: TaskContext,
): Promise<void> {
  const seen = fencingOf(found);
  if (context.fencing <= seen) {
    throw new AgentError('task.stale', {
      reason: `Another spec was launched under fencing ${seen}.`,
      fencing: context.fencing,
      seen,
    });
  }
  context.emit('container.replaced', 'The container of an older spec is taken away.', { container: found.name });
  made.anything = true;
  const { error } = await removeWorkload(params.identity, { data: false }, context.engine, context.signal);
  if (error !== undefined) {
    throw error;
  }
}

/** How long what was paused may take to end by itself. */
const pausedGraceSeconds = 10;

/**
 * What somebody has paused is started anew, with its file system and its packages but without its memory: whoever launches
 * wants a workload that runs, and going on in the middle is not what the gate offers.
 */
async function endPaused({ name, status }: ContainerFacts, { engine, signal, emit }: TaskContext): Promise<void> {
  if (status === 'paused') {
    emit('container.paused', 'Somebody has paused the container; it is ended and started again.', { container: name });
    await engine.stop(name, pausedGraceSeconds, signal);
  }
}

async function createContainer(
  input: RenderInput,
  files: SecretFiles,
  made: Made,
  context: TaskContext,
): Promise<void> {
  const { engine, log } = context;
  const { name, request } = underParams(() => renderContainer(input));
  await putSecretFiles(input.params, files, context);
  const created = await engine.create(name, request, toItsEnd());
  made.freshData = created.freshData;
  log.info({ container: name, container_id: created.id }, 'container created');
}

async function putSecretFiles(
  { identity }: WorkloadOciLaunchParams,
  files: SecretFiles,
  { engine, signal }: TaskContext,
): Promise<void> {
  await writeSecretFiles(identity.app_instance_id, files, engine);
  signal.throwIfAborted();
}

/** Installs what was asked for; returns the installer's excerpt. */
async function makePackaged(
  { python_packages }: WorkloadOciLaunchParams,
  name: string,
  context: TaskContext,
): Promise<string | null> {
  if (python_packages.length === 0) {
    return null;
  }
  context.enter('installing_packages');
  return await installPackages(name, python_packages, context);
}

/** Longest that the clean-up after a failure may take. It must end even if the task's own time is over. */
const undoTimeoutMs = 60_000;

async function undo(
  params: WorkloadOciLaunchParams,
  made: Made,
  cause: unknown,
  context: TaskContext,
): Promise<FailedTask> {
  const cleanup = made.anything ? await takeAway(params, made, context) : leaveAsFound(params, made, context);
  const summary = made.anything ? 'The launch did not succeed and was undone.' : 'The launch did not succeed.';
  return new FailedTask(cause, (failure): WorkloadOutput => {
    const report = { state: 'failed', summary, container: undefined, cleanup, failure } as const;
    return workloadOutput(params.identity, report, context);
  });
}

/** Cards that were leased for a container that was not made are free again; those of one that was there are its own. */
function leaveAsFound({ identity }: WorkloadOciLaunchParams, { found }: Made, { gpus }: TaskContext): Cleanup {
  gpus.settle(identity.app_instance_id, found ? [found] : []);
  return { removed: [], kept: found ? [`container ${found.name}`] : [], failed: [] };
}

async function takeAway(params: WorkloadOciLaunchParams, made: Made, context: TaskContext): Promise<Cleanup> {
  const limit = AbortSignal.timeout(undoTimeoutMs);
  await keepOutput(containerName(params.identity.app_instance_id), context, limit);
  const removal = await removeWorkload(params.identity, { data: made.freshData }, context.engine, limit);
  const { cleanup, containersGone } = removal;
  if (containersGone) {
    context.gpus.release(params.identity.app_instance_id);
  }
  context.log.warn({ removed: cleanup.removed, failed: cleanup.failed }, 'launch undone');
  return cleanup;
}

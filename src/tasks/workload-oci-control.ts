/**
 * Runs `workload.oci_control`: stop, start, restart.
 *
 * Each action says what should be, not what to do: stopping what is stopped and starting what runs succeed and change
 * nothing. A restart keeps the container, and with it the installed packages. A workload that somebody has paused is none
 * that runs: to start it is to restart it. Secret files are delivered again with each start, as memory is empty after a boot
 * of the host; where nobody remembers the launch, the gate refuses to start a workload whose files are gone.
 *
 * What was started is asked for its readiness as after a launch. One that does not get ready is left running, degraded.
 */
import { AgentError } from '../contract/failures.ts';
import type { Identity } from '../contract/identifiers.ts';
import { containerName, labels } from '../contract/names.ts';
import type { WorkloadOciControlParams } from '../contract/workload-oci-control.ts';
import type { WorkloadOutput } from '../contract/workload-output.ts';
import { readReadinessLabel } from '../policy/readiness-label.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import { asksForSecret, untilReady } from '../runtime/probes/until-ready.ts';
import { FailedTask } from './failed-task.ts';
import { requireSay } from './fencing.ts';
import { refuseStack } from './find-stack.ts';
import { ensureOwnNetwork } from './own-network.ts';
import { openSecretEnv, openSecretFiles, type SecretFiles, writeSecretFiles } from './secret-files.ts';
import type { TaskContext, TaskHandler } from './task-context.ts';
import { tellWaiting } from './tell-waiting.ts';
import { endpointsOf, stateOf, workloadOutput } from './workload-report.ts';

export const controlOci: TaskHandler<'workload.oci_control'> = async (params, context) => {
  const { engine, signal } = context;
  const name = containerName(params.identity.app_instance_id);
  const found = await engine.inspect(name, signal);
  if (!found) {
    await refuseStack(params.identity.app_instance_id, context);
    throw new AgentError('container.not_found', { container: name });
  }
  requireSay(found, params.identity, context.fencing);

  try {
    return await control(params, found, context);
  } catch (error) {
    const container = await seeAgain(name, context);
    throw new FailedTask(error, (failure) => {
      const seen = container ? stateOf(container) : 'unknown';
      const state = seen === 'running' && failure.code === 'readiness.timed_out' ? 'degraded' : seen;
      const report = { state, summary: `The ${params.action} did not succeed.`, container, failure };
      return workloadOutput(params.identity, report, context);
    });
  }
};

async function control(
  params: WorkloadOciControlParams,
  found: ContainerFacts,
  context: TaskContext,
): Promise<WorkloadOutput> {
  const { action, identity } = params;
  const running = found.status === 'running';
  const starts = action === 'restart' || (action === 'start' && !running);
  // Opened before anything is stopped: what cannot be opened must not cost the workload that runs.
  const secrets = starts && context.launchParams ? await openSecrets(context.launchParams, context) : noSecrets;
  if ((action !== 'start' || found.status === 'paused') && isAlive(found)) {
    await stop(found.name, params.grace_seconds, context);
  }
  if (starts) {
    await start(identity, found, secrets, context);
  }

  const container = (await context.engine.inspect(found.name, context.signal)) ?? found;
  const state = action === 'stop' ? 'stopped' : stateOf(container);
  return workloadOutput(identity, { state, summary: `The workload is ${state}.`, container }, context);
}

interface Secrets {
  /** Delivered again. */
  readonly files: SecretFiles;
  /** In the container; opened for its readiness checks, and to be known in what it says. Undefined where nobody knows them. */
  readonly env: Readonly<Record<string, string>> | undefined;
}

const noSecrets: Secrets = { files: {}, env: undefined };

async function openSecrets(launched: NonNullable<TaskContext['launchParams']>, context: TaskContext): Promise<Secrets> {
  const [files, env] = await Promise.all([openSecretFiles(launched, context), openSecretEnv(launched, context)]);
  return { files, env };
}

/** A paused workload still has its processes and its memory, and can be stopped like a running one. */
function isAlive({ status }: ContainerFacts): boolean {
  return ['running', 'paused', 'restarting'].includes(status);
}

/** Longest that a look at the container may take after the task has failed. */
const lookTimeoutMs = 5000;

/** What the container is like after a failure; undefined where the engine does not tell. */
async function seeAgain(name: string, { engine, log }: TaskContext): Promise<ContainerFacts | undefined> {
  try {
    return await engine.inspect(name, AbortSignal.timeout(lookTimeoutMs));
  } catch (error) {
    log.warn({ container: name, err: error }, 'state after the failure is not known');
    return undefined;
  }
}

async function stop(name: string, graceSeconds: number, context: TaskContext): Promise<void> {
  context.enter('stopping');
  await context.engine.stop(name, graceSeconds, context.signal);
  context.enter('stopped');
}

/** What does not run holds nothing, so it has to fit beside what runs now. */
async function start(
  identity: Identity,
  found: ContainerFacts,
  { files, env: sealedEnv }: Secrets,
  context: TaskContext,
): Promise<void> {
  const { admission, engine, signal } = context;
  const name = found.name;
  context.enter('starting');
  const resources = { cpu_cores: found.cpuCores, memory_gib: found.memoryBytes / 2 ** 30 };
  const instance = found.labels[labels.instance] ?? name;
  const release = await admission.reserve(instance, resources, signal, engine);
  try {
    await Promise.all([writeSecretFiles(instance, files, engine), ensureOwnNetwork(identity, engine)]);
    await engine.start(name, signal);
  } finally {
    release();
  }
  const { launchParams } = context;
  const readiness = launchParams?.readiness ?? readReadinessLabel(found.labels[labels.readiness]) ?? [];
  if (readiness.length > 0) {
    context.enter('probing');
  }
  const ports = launchParams?.ports ?? endpointsOf(found).map((each) => ({ name: each.name, host_port: each.port }));
  // What asks for a secret cannot be asked where nobody knows it.
  const asked = readiness.filter((check) => sealedEnv !== undefined || !asksForSecret(check));
  const options = { engine, name, ports, sealedEnv, signal };
  await tellWaiting(context, (onAttempt) => untilReady(asked, { ...options, onAttempt }));
  context.enter('running');
}

/**
 * Runs `workload.compose_control`: stop, start, restart of all services, in the order they depend on each other.
 *
 * As with a single container each action says what should be, what was started is asked for its readiness, and one that does
 * not get ready is left running, degraded. A restart stops everything before anything is started: services that rely on each
 * other are not restarted one by one.
 */
import { AgentError } from '../contract/failures.ts';
import { composeProject } from '../contract/names.ts';
import type { WorkloadComposeControlParams } from '../contract/workload-compose-control.ts';
import type { StackOutput } from '../contract/workload-output.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import { type StackService, StackWatch } from '../runtime/probes/until-stack-ready.ts';
import { composeOptions, watched } from './bring-up-stack.ts';
import { FailedTask } from './failed-task.ts';
import { type FoundStack, findStack } from './find-stack.ts';
import { ensureOwnNetwork } from './own-network.ts';
import { stackOutput, stateOfStack } from './stack-report.ts';
import { openStackEnv, openStackFiles, type StackFiles, writeStackFiles } from './stack-secrets.ts';
import { isAsStarted, mayEnd, servicesOfContainers, servicesOfLaunch, topologyOf } from './stack-services.ts';
import type { TaskContext, TaskHandler } from './task-context.ts';
import { tellWaiting } from './tell-waiting.ts';

export const controlStack: TaskHandler<'workload.compose_control'> = async (params, context) => {
  const { identity, action } = params;
  const found = await findStack(identity, [], context);
  if (found.size === 0) {
    throw new AgentError('container.not_found', { container: composeProject(identity.app_instance_id) });
  }
  try {
    return await control(params, found, context);
  } catch (error) {
    const seen = await seeAgain(params, context);
    throw new FailedTask(error, (failure) => {
      const state = seen === undefined ? 'unknown' : stateAfter(seen, failure.code, context);
      const report = { state, summary: `The ${action} did not succeed.`, failure } as const;
      const topology = topologyOf(context.stackParams, found);
      return stackOutput(identity, { ...report, topology, found: seen ?? new Map() }, context);
    });
  }
};

async function control(
  { action, identity, grace_seconds }: WorkloadComposeControlParams,
  found: FoundStack,
  context: TaskContext,
): Promise<StackOutput> {
  const instance = identity.app_instance_id;
  const there = [...found.values()];
  const isUp = [...found].every(([name, container]) => isAsStarted(context.stackParams, name, container));
  const starts = action === 'restart' || (action === 'start' && !isUp);
  // Opened before anything is stopped: what cannot be opened must not cost the stack that runs.
  const secrets = starts ? await openSecrets(context) : undefined;
  const composeVersion = await context.stacks.version(context.signal);
  const options = composeOptions(context, new Map([...found].map(([service, { name }]) => [service, name])));
  if (there.some(isAlive) && (action !== 'start' || there.some(({ status }) => status === 'paused'))) {
    context.enter('stopping');
    await context.stacks.stop(instance, grace_seconds, options);
    context.enter('stopped');
  }
  if (secrets) {
    await start(identity, found, secrets, context);
  }

  const now = await findStack(identity, [], context);
  const state = action === 'stop' ? 'stopped' : stateOfStack(now, (name) => mayEnd(context.stackParams, name));
  const report = { state, summary: `The stack is ${state}.`, topology: topologyOf(context.stackParams, found) };
  return stackOutput(identity, { ...report, found: now, composeVersion }, context);
}

/** A paused service still has its processes and its memory, and can be stopped like a running one. */
function isAlive({ status }: ContainerFacts): boolean {
  return ['running', 'paused', 'restarting'].includes(status);
}

interface Secrets {
  readonly files: StackFiles;
  readonly services: (found: FoundStack) => StackService[];
}

async function openSecrets(context: TaskContext): Promise<Secrets> {
  const { stackParams } = context;
  if (stackParams === undefined) {
    return { files: new Map(), services: servicesOfContainers };
  }
  const [files, env] = await Promise.all([openStackFiles(stackParams, context), openStackEnv(stackParams, context)]);
  return { files, services: () => servicesOfLaunch(stackParams, env) };
}

/** What does not run holds nothing, so all of it has to fit beside what runs now. */
async function start(
  identity: WorkloadComposeControlParams['identity'],
  found: FoundStack,
  { files, services }: Secrets,
  context: TaskContext,
): Promise<void> {
  const { admission, engine, signal, stacks } = context;
  const instance = identity.app_instance_id;
  context.enter('starting');
  const containers = [...found.values()];
  const cpu_cores = containers.reduce((sum, { cpuCores }) => sum + cpuCores, 0);
  const memory_gib = containers.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0) / 2 ** 30;
  const release = await admission.reserve(instance, { cpu_cores, memory_gib }, signal, engine);
  const watch = new StackWatch(services(found), { engine, signal });
  try {
    await Promise.all([writeStackFiles(instance, files, engine), ensureOwnNetwork(identity, engine)]);
    const names = new Map([...found].map(([service, { name }]) => [service, name]));
    await watched(watch, async (limited) => {
      const onStep = (container: string, step: string) => step === 'Started' && watch.started(container);
      await stacks.start(instance, composeOptions({ ...context, signal: limited }, names, onStep));
    });
    release();
    context.enter('probing');
    await tellWaiting(context, (note) => watch.untilReady(note));
    context.enter('running');
  } finally {
    release();
    watch.end();
  }
}

/** Longest that a look at the stack may take after the task has failed. */
const lookTimeoutMs = 5000;

/** What is there after a failure; undefined where the engine does not tell. */
async function seeAgain(
  { identity }: WorkloadComposeControlParams,
  context: TaskContext,
): Promise<FoundStack | undefined> {
  try {
    return await findStack(identity, [], { ...context, signal: AbortSignal.timeout(lookTimeoutMs) });
  } catch (error) {
    context.log.warn({ err: error }, 'state after the failure is not known');
    return undefined;
  }
}

function stateAfter(seen: FoundStack, code: string, context: TaskContext) {
  const state = stateOfStack(seen, (name) => mayEnd(context.stackParams, name));
  return state === 'running' && code === 'readiness.timed_out' ? 'degraded' : state;
}

/**
 * Runs `workload.oci_control`: stop, start, restart.
 *
 * Each action says what should be, not what to do: stopping what is stopped and starting what runs succeed and change
 * nothing. A restart keeps the container, and with it the installed packages.
 */
import { AgentError } from '../contract/failures.ts';
import { containerName, labels } from '../contract/names.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import { untilReady } from '../runtime/probes/until-ready.ts';
import { refuseStale } from './fencing.ts';
import type { TaskContext, TaskHandler } from './task-context.ts';
import { stateOf, workloadOutput } from './workload-report.ts';

export const controlOci: TaskHandler<'workload.oci_control'> = async (params, context) => {
  const { engine, signal } = context;
  const name = containerName(params.identity.app_instance_id);
  const found = await engine.inspect(name, signal);
  if (!found) {
    throw new AgentError('container.not_found', { container: name });
  }
  refuseStale(found, context.fencing);

  const running = found.status === 'running';
  if (params.action !== 'start' && running) {
    await stop(name, params.grace_seconds, context);
  }
  if (params.action === 'restart' || (params.action === 'start' && !running)) {
    await start(found, context);
  }

  const container = (await engine.inspect(name, signal)) ?? found;
  const state = stateOf(container);
  const settled = params.action === 'stop' ? 'stopped' : state;
  const summary = `The workload is ${settled}.`;
  return workloadOutput(params.identity, { state: settled, summary, container }, context);
};

async function stop(name: string, graceSeconds: number, context: TaskContext): Promise<void> {
  context.enter('stopping');
  await context.engine.stop(name, graceSeconds, context.signal);
  context.enter('stopped');
}

/** What does not run holds nothing, so it has to fit beside what runs now. */
async function start(found: ContainerFacts, context: TaskContext): Promise<void> {
  const { admission, engine, signal } = context;
  const name = found.name;
  context.enter('starting');
  const resources = { cpu_cores: found.cpuCores, memory_gib: found.memoryBytes / 2 ** 30 };
  const instance = found.labels[labels.instance] ?? name;
  const release = await admission.reserve(instance, resources, signal, engine);
  try {
    await engine.start(name, signal);
  } finally {
    release();
  }
  await untilReady([], { engine, name, ports: [], signal });
  context.enter('running');
}

/**
 * What a handler of stacks needs: params that the policy of `task-bench.ts` allows, and a Compose that does on a recording
 * engine what the real one does, as far as handlers can tell.
 */
import { containerName, labels } from '../../src/contract/names.ts';
import type { WorkloadComposeLaunchParams } from '../../src/contract/workload-compose-launch.ts';
import type { ContainerEngine, ContainerFacts } from '../../src/runtime/engine.ts';
import type { Stack, StackOptions, StackRunner } from '../../src/runtime/stacks.ts';
import type { TaskContext } from '../../src/tasks/task-context.ts';
import { containerFacts, type RecordingEngine, recordingEngine } from './recording-engine.ts';
import { type RecordingStacks, recordingStacks } from './recording-stacks.ts';
import { identity, imageReference, type RecordedContext, taskContext } from './task-bench.ts';

export const stackIdentity = { ...identity, app_instance_id: 'stack-1', app_slug: 'vllm-openai' };
export const jwe = 'eyJhbGciOiJFQ0RILUVTIn0..aXY.dGV4dA.dGFn';

type Service = WorkloadComposeLaunchParams['document']['services'][string];

export function aService(over: Partial<Service> = {}): Service {
  return { image: imageReference, command: ['serve'], cpus: 0.5, mem_limit: 2 ** 28, ...over };
}

/** `web` waits for `db`; neither has an endpoint, so nothing of it touches the machine. */
export function stackParams(over: Partial<WorkloadComposeLaunchParams> = {}): WorkloadComposeLaunchParams {
  return {
    identity: stackIdentity,
    document: {
      services: { db: aService(), web: aService({ depends_on: { db: { condition: 'service_started' } } }) },
    },
    topology: {
      description: 'A page and what it keeps.',
      services: [
        { name: 'web', role: 'page', endpoints: [], mounts: [] },
        { name: 'db', role: 'database', endpoints: [], mounts: [] },
      ],
    },
    readiness: [],
    sandbox: 'runc',
    restart: { policy: 'on_failure', max_retries: 3 },
    log_limits: { max_size_mib: 10, max_files: 3 },
    ...over,
  };
}

export interface StackBench extends RecordedContext, Omit<RecordingEngine, 'calls'> {
  /** Calls of engine and Compose that change something, in order. */
  readonly calls: string[];
  readonly ups: RecordingStacks['ups'];
  /** The same world for another task. */
  again(over?: Partial<TaskContext>): StackBench;
}

export interface StackBenchOptions {
  readonly engine?: Partial<ContainerEngine>;
  readonly stacks?: (usual: StackRunner) => Partial<StackRunner>;
  readonly context?: Partial<TaskContext>;
}

export function stackBench({ engine: over = {}, stacks: replaced, context = {} }: StackBenchOptions = {}): StackBench {
  // What runs goes on running: the usual one of the recording engine ends at once.
  const wait: ContainerEngine['wait'] = (_name, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  const recording = recordingEngine({ wait, ...over });
  const usual = composeOn(recording.containers);
  const compose = recordingStacks({ ...usual, ...replaced?.(usual) });
  const all: string[] = [];
  for (const calls of [recording.calls, compose.calls]) {
    calls.push = (...lines) => all.push(...lines.filter((line) => !/^(inspect|list|wait|pull) ?/.test(line)));
  }
  const bench = (given: Partial<TaskContext>): StackBench => ({
    ...recording,
    ...taskContext(recording.engine, { stacks: compose.stacks, ...context, ...given }),
    ...{ calls: all, ups: compose.ups },
    again: (more = {}) => bench(more),
  });
  return bench({});
}

interface Written {
  readonly services: Readonly<
    Record<string, { readonly container_name: string; readonly labels: ContainerFacts['labels'] }>
  >;
}

function composeOn(containers: Map<string, ContainerFacts>): StackRunner {
  const step = (container: string, { onStep }: StackOptions, ...steps: string[]) => {
    for (const each of steps) onStep?.(container, each);
  };
  const start = (found: ContainerFacts, options: StackOptions) => {
    step(found.name, options, 'Starting');
    containers.set(found.name, { ...found, status: 'running', exitCode: null, pid: 42 });
    step(found.name, options, 'Started');
  };
  const ofStack = (instance: string) =>
    [...containers.values()].filter((container) => container.labels[labels.instance] === instance);
  return {
    version: async () => '2.26.1',
    up: async ({ document }: Stack, options) => {
      for (const { container_name: name, labels: given } of Object.values((document as unknown as Written).services)) {
        const found = containers.get(name);
        if (found?.status === 'running') {
          step(name, options, 'Running');
          continue;
        }
        step(name, options, ...(found ? ['Created'] : ['Creating', 'Created']));
        start(found ?? containerFacts({ id: name, name, labels: given, status: 'created' }), options);
      }
    },
    start: async (instance, options) => {
      for (const found of ofStack(instance)) start(found, options);
    },
    stop: async (instance, _grace, options) => {
      for (const found of ofStack(instance)) {
        containers.set(found.name, { ...found, status: 'exited', exitCode: 143, pid: 0 });
        step(found.name, options, 'Stopped');
      }
    },
    forget: async () => true,
  };
}

/** Container of a service of the stack, as an earlier task left it. */
export function serviceContainer(service: string, over: Partial<ContainerFacts> = {}): ContainerFacts {
  const name = containerName('stack-1', service);
  return containerFacts({
    ...{ id: name, name },
    labels: {
      ...{ [labels.instance]: 'stack-1', [labels.service]: service, [labels.project]: 'project-7' },
      ...{ [labels.fencing]: '1', [labels.task]: 'task-0', [labels.endpoints]: '' },
    },
    ...over,
  });
}

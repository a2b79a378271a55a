/** What a handler needs to be run on a recording engine: a policy, params that it allows, and a context that records. */
import { openHostJobs } from '../../src/agent/host-jobs.ts';
import type { TaskParams } from '../../src/contract/tasks.ts';
import type { WorkloadEvent } from '../../src/contract/workload-output.ts';
import type { WorkloadState } from '../../src/contract/workload-state.ts';
import { createLog } from '../../src/kit/log.ts';
import { type GivenCards, noCards } from '../../src/policy/given-cards.ts';
import type { HostPolicy } from '../../src/policy/host-policy.ts';
import { renderContainer } from '../../src/policy/render-container.ts';
import type { ContainerEngine, ContainerFacts } from '../../src/runtime/engine.ts';
import { Admission } from '../../src/tasks/admission.ts';
import type { Lifecycle, TaskContext } from '../../src/tasks/task-context.ts';
import { cardLedger } from './gpus.ts';
import { containerFacts, imageFacts } from './recording-engine.ts';
import { recordingStacks } from './recording-stacks.ts';

export type LaunchParams = TaskParams<'workload.oci_launch'>;

export const imageReference = `127.0.0.1:5000/curated/runtime-cpu@sha256:${'d'.repeat(64)}`;
export const localImageId = `sha256:${'b'.repeat(64)}`;
export const localProvenance = { source: 'build', digest: `sha256:${'f'.repeat(64)}` } as const;

export const hostPolicy: HostPolicy = {
  node_id: 'node-1',
  allocation: { id: 'alloc-1', uid: 1001, gid: 1002, home: '/home/tenant' },
  registries: [{ host: '127.0.0.1:5000', prefixes: ['curated'] }],
  local_images: [{ image_id: localImageId, provenance: localProvenance }],
  project_storage: false,
  network_pool: '10.213.0.0/20',
  approved_engines: ['docker'],
  sandboxes: { runc: 'runc' },
  reserves: { cpu_cores: 0, memory_gib: 1, disk_gib: 2 },
  limits: { pids: 4096, open_files: 65536 },
  secrets_dir: '/run/gpuaas-gate/secrets',
  inputs: { dir: '/var/lib/gpuaas-inputs', max_gib: 1, max_age_hours: 1, allow: [], endpoints: {} },
};

export const identity = {
  project_id: 'project-7',
  app_instance_id: 'notebook-1',
  allocation_id: 'alloc-1',
  app_slug: 'jupyterlab',
  app_version: '2026.04-preview',
  display_name: 'My JupyterLab',
};

/** A launch that is ready as soon as a command inside says so, without ports: nothing of it touches the machine. */
export function launchParams(over: Partial<LaunchParams> = {}): LaunchParams {
  return {
    identity,
    image: {
      kind: 'registry',
      reference: imageReference,
      media_type: 'application/vnd.oci.image.manifest.v1+json',
    },
    env: { HOME: '/workspace' },
    resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 2 },
    mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
    ports: [],
    python_packages: [],
    readiness: [{ type: 'exec', command: ['true'], timeout_seconds: 5 }],
    sandbox: 'runc',
    restart: { policy: 'on_failure', max_retries: 3 },
    log_limits: { max_size_mib: 10, max_files: 3 },
    ...over,
  };
}

/** The container that a launch of these params left behind, started unless `over` says otherwise. */
export function launchedContainer(
  params: LaunchParams,
  {
    taskId = 'task-0',
    fencing = 1,
    sealedEnv = {},
    cards = noCards,
  }: { taskId?: string; fencing?: number; sealedEnv?: Record<string, string>; cards?: GivenCards } = {},
  over: Partial<ContainerFacts> = {},
): ContainerFacts {
  const image = imageFacts(params.image.kind === 'local' ? params.image.image_id : params.image.reference);
  const { name, request } = renderContainer({ params, policy: hostPolicy, image, sealedEnv, cards, taskId, fencing });
  return containerFacts({ id: 'found', name, labels: request.Labels, imageReference: request.Image, ...over });
}

export interface RecordedContext {
  readonly context: TaskContext;
  readonly phases: WorkloadState[];
  readonly events: WorkloadEvent[];
  readonly logLines: string[];
}

/** What a test answers for the agent; whatever else is asked of it is an error. */
export function lifecycleOf(answers: Partial<Lifecycle>): Lifecycle {
  const unasked = () => {
    throw new Error('not asked for');
  };
  return {
    ...{ beginDrain: unasked, endDrain: unasked, look: unasked },
    ...{ diagnose: unasked, rotateKeys: unasked, update: unasked, ...answers },
  };
}

export function taskContext(engine: ContainerEngine, over: Partial<TaskContext> = {}): RecordedContext {
  const phases: WorkloadState[] = [];
  const events: WorkloadEvent[] = [];
  const logLines: string[] = [];
  const emit = (type: string, message: string, values: Record<string, unknown> = {}) => {
    events.push({ time: '2026-11-23T10:00:00.000Z', type, phase: phases.at(-1) ?? null, message, values });
  };
  const context: TaskContext = {
    taskId: 'task-1',
    fencing: 1,
    policy: hostPolicy,
    engine,
    stacks: recordingStacks().stacks,
    admission: new Admission({
      engine,
      policy: hostPolicy,
      totals: async () => ({ cpuCores: 8, memoryBytes: 32 * 2 ** 30 }),
    }),
    gpus: cardLedger(engine).ledger,
    log: createLog({ level: 'debug', destination: { write: (line: string) => void logLines.push(line) } }),
    signal: new AbortController().signal,
    enter: (phase) => {
      phases.push(phase);
      emit('phase.entered', `The workload is ${phase}.`, { to: phase });
    },
    emit,
    events: () => [...events],
    unseal: async (jwe) => Buffer.from(`opened ${jwe}`),
    pullCredential: async () => undefined,
    jobs: openHostJobs(),
    launchParams: undefined,
    stackParams: undefined,
    lifecycle: undefined,
    ...over,
  };
  return { context, phases, events, logLines };
}

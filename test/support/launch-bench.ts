/**
 * Launches without a network: a real store and queue with the reconciler behind them, and a node that says what a test
 * makes it say.
 */
import { join } from 'node:path';
import type { Failure } from '../../src/contract/failures.ts';
import { AgentError, type FailureCode } from '../../src/contract/failures.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import type { StackOutput, WorkloadOutput } from '../../src/contract/workload-output.ts';
import type { WorkloadState } from '../../src/contract/workload-state.ts';
import type { Allocation } from '../../src/server/db/entities/allocation.ts';
import type { AppInstance } from '../../src/server/db/entities/app-instance.ts';
import type { Node } from '../../src/server/db/entities/node.ts';
import type { Task } from '../../src/server/db/entities/task.ts';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../../src/server/db/store.ts';
import type { NodeRecord, RecordSink } from '../../src/server/hub/record-sink.ts';
import { TaskQueue } from '../../src/server/hub/task-queue.ts';
import { control, decommission } from '../../src/server/instances/actions.ts';
import { type Asking, createInstance, prepareLaunch } from '../../src/server/instances/create-instance.ts';
import { MetricsBoard } from '../../src/server/instances/metrics-board.ts';
import { reconciler } from '../../src/server/instances/reconciler.ts';
import { openVault, type Vault } from '../../src/server/keys/vault.ts';
import { environmentOf } from '../../src/server/launch/environment.ts';
import type { LaunchRequest } from '../../src/server/launch/launch-request.ts';
import { atFileEnd } from './file-end.ts';
import {
  aNode,
  anApp,
  anArtifact,
  aRequest,
  aVersion,
  runtimeStatus,
  settings,
  vllmArtifact,
} from './launch-samples.ts';
import { type ManualClock, manualClock } from './manual-clock.ts';
import { vllmProfile } from './profiles.ts';
import { anAllocation, aProject } from './store-samples.ts';
import { temporaryFolder } from './temporary-folder.ts';

const resultAt = '2026-11-25T12:00:01.000Z';

export interface LaunchBench {
  readonly store: Store;
  readonly vault: Vault;
  readonly clock: ManualClock;
  readonly queue: TaskQueue;
  readonly sink: RecordSink;
  readonly metrics: MetricsBoard;
  launch(request?: LaunchRequest, projectId?: string): Promise<AppInstance>;
  /** A launch whose task has succeeded. */
  running(request?: LaunchRequest): Promise<AppInstance>;
  act(id: string, action: 'stop' | 'start' | 'restart' | 'decommission', traceId?: string): Promise<AppInstance>;
  instance(id: string): Promise<AppInstance>;
  /** Tasks that nobody has ended, oldest first. */
  openTasks(): Promise<Task[]>;
  /** The node ends the task. */
  end(task: Pick<Task, 'id'>, result: Partial<TaskResult>): Promise<void>;
  /** The node ends the newest task of the instance: in this state, or with this failure. */
  endTaskOf(id: string, how: WorkloadState | FailureCode, finishedAt?: string): Promise<void>;
  answerPreflight(given?: Parameters<typeof runtimeStatus>[0]): Promise<void>;
  /** `at` is when the node wrote it down; default now. */
  report(record: Omit<NodeRecord, 'at'>, at?: string): Promise<void>;
  presence(how: 'away' | 'back'): Promise<void>;
  /** `type` of every event about the instance. */
  events(id: string): Promise<string[]>;
}

interface Given {
  readonly node?: Partial<Node>;
  readonly allocation?: Partial<Allocation>;
  readonly launchEnabled?: boolean;
}

export async function launchBench(given: Given = {}): Promise<LaunchBench> {
  const folder = temporaryFolder('launch');
  const store = openSqliteStore(join(folder, 'control-plane.db'));
  const vault = openVault(join(folder, 'keys'));
  atFileEnd(() => store.close());
  const clock = manualClock();
  const metrics = new MetricsBoard();
  const environment = environmentOf({
    ...settings,
    publicUrl: 'https://cp.example.com',
    launchEnabled: given.launchEnabled ?? true,
  });
  const sink = reconciler({ environment, clock, metrics, queue: () => queue });
  const queue: TaskQueue = new TaskQueue(sink, clock);
  await seedLaunches(store, given);

  const asking = (request: LaunchRequest, projectId: string): Asking => ({
    ...{ request, projectId, tokenId: 'token-1', actor: 'token:token-1', traceId: 'trace-1', now: clock.wallMs() },
  });
  const causeOf = (correlationId: string) => ({
    ...{ now: clock.wallMs(), correlationId, who: { actor: 'token:token-1' } },
  });
  const instance = async (id: string) => {
    const found = await store.read((tx) => tx.app_instances.get(id));
    if (!found) throw new Error(`no instance ${id}`);
    return found;
  };
  const bench: LaunchBench = {
    ...{ store, vault, clock, queue, sink, metrics, instance },
    launch: async (request = aRequest(), projectId = 'p1') => {
      const prepared = await prepareLaunch({ store, vault }, environment, asking(request, projectId));
      return store.write((tx) => createInstance(tx, { queue, environment }, asking(request, projectId), prepared));
    },
    running: async (request) => {
      const { id } = await bench.launch(request);
      await bench.endTaskOf(id, 'running');
      return instance(id);
    },
    act: (id, action, traceId = 'trace-2') =>
      store.write(async (tx) => {
        const found = await tx.app_instances.get(id);
        if (!found) throw new Error(`no instance ${id}`);
        return action === 'decommission'
          ? decommission(tx, queue, causeOf(traceId), found, false)
          : control(tx, { queue, environment }, causeOf(traceId), found, action);
      }),
    openTasks: () => store.read((tx) => tx.tasks.list({ where: { state: ['queued', 'leased', 'accepted'] } })),
    end: (task, result) => store.write((tx) => queue.finish(tx, task, resultOf(task.id, result))),
    endTaskOf: async (id, how, finished_at = resultAt) => {
      const { current_task_id } = await instance(id);
      const task = current_task_id === null ? undefined : await store.read((tx) => tx.tasks.get(current_task_id));
      if (!task || task.state === 'ended') throw new Error(`no task is at work for ${id}`);
      const isFailure = how.includes('.');
      await bench.end(
        task,
        isFailure
          ? { status: 'failed', failure: failureOf(how as FailureCode), finished_at }
          : { output: outputOf(await instance(id), how as WorkloadState), finished_at },
      );
    },
    answerPreflight: async (status) => {
      const [question] = (await bench.openTasks()).filter(({ purpose }) => purpose === 'preflight');
      if (!question) throw new Error('nothing was asked');
      await bench.end(question, { output: runtimeStatus(status) });
    },
    report: (record, at = new Date(clock.wallMs()).toISOString()) =>
      store.write(async (tx) => {
        const node = await tx.nodes.get('node-1');
        if (node) await sink.recorded(tx, node, { ...record, at } as NodeRecord);
      }),
    presence: (how) =>
      store.write(async (tx) => {
        const node = await tx.nodes.get('node-1');
        if (node) await (how === 'away' ? sink.nodeAway(tx, node) : sink.nodeBack(tx, node));
      }),
    events: async (id) =>
      (await store.read((tx) => tx.events.list({ after: 0, limit: 500, subject_id: id }))).map(({ type }) => type),
  };
  return bench;
}

export async function seedLaunches(store: Store, { node, allocation }: Given): Promise<void> {
  await store.write(async (tx) => {
    await tx.projects.insert(aProject());
    await tx.nodes.insert(aNode(node));
    await tx.allocations.insert(anAllocation({ node_id: 'node-1', ...allocation }));
    await tx.apps.insert(anApp());
    await tx.app_versions.insert(aVersion());
    await tx.artifacts.insert(anArtifact());
    await tx.apps.insert(anApp({ id: 'vllm-openai', display_name: 'vLLM' }));
    await tx.app_versions.insert(
      aVersion({ id: 'version-2', app_slug: 'vllm-openai', version: '2026.11', manifest: vllmProfile() }),
    );
    await tx.artifacts.insert(vllmArtifact());
    for (const [index, app_slug] of ['jupyterlab', 'vllm-openai'].entries()) {
      await tx.entitlements.insert({
        ...{ id: `entitlement-${index + 1}`, app_slug, project_id: null, created_by: 'seed' },
        created_at: '2026-11-25T10:00:00.000Z',
      });
    }
  });
}

export function failureOf(code: FailureCode): Failure {
  return new AgentError(code).toFailure();
}

function outputOf(instance: AppInstance, state: WorkloadState): WorkloadOutput | StackOutput {
  return instance.engine === 'docker_compose'
    ? stackOutput(instance, { vllm: state })
    : workloadOutput(instance, state);
}

/** What a host says of a stack whose services are in these states; the first one serves all endpoints and has a card. */
export function stackOutput(
  instance: Pick<AppInstance, 'id' | 'host_ports'>,
  services: Readonly<Record<string, WorkloadState>>,
  given: Partial<StackOutput> = {},
): StackOutput {
  const states = Object.values(services);
  const state = states.every((each) => each === states[0]) ? (states[0] ?? 'absent') : 'degraded';
  const { adapter: single, topology: _, ...common } = workloadOutput(instance, state);
  const { kind: _kind, adopted, packages_excerpt: _packages, ...container } = single;
  const names = Object.keys(instance.host_ports);
  const project = `gpuaas-${instance.id}`;
  return {
    ...common,
    topology: {
      description: 'A stack.',
      services: Object.entries(services).map(([name, each], index) => ({
        ...{ name, role: 'server', endpoints: index === 0 ? names : [], mounts: [], state: each },
      })),
    },
    adapter: {
      ...{ kind: 'compose_stack', project, compose_version: '2.26.1', adopted },
      services: Object.keys(services).map((service, index) => ({
        ...{ service, ...container, container_id: `c-${service}`, container_name: `${project}.${service}` },
        gpus: index === 0 ? ['GPU-1'] : [],
      })),
    },
    ...given,
  };
}

function resultOf(task_id: string, given: Partial<TaskResult>): TaskResult {
  const times = { started_at: resultAt, finished_at: resultAt };
  return { task_id, status: 'succeeded', output: null, failure: null, ...times, ...given };
}

export function workloadOutput(
  { id, host_ports }: Pick<AppInstance, 'id' | 'host_ports'>,
  state: WorkloadState,
  given: Partial<WorkloadOutput> = {},
): WorkloadOutput {
  return {
    ...{ state, summary: `The workload is ${state}.`, logs: [], metrics: [], events: [], failure: null },
    endpoints: Object.entries(host_ports).map(([name, port]) => ({
      ...{
        name,
        protocol: 'http',
        host: '127.0.0.1',
        port,
        url: `http://127.0.0.1:${port}/`,
        exposure_mode: 'private',
      },
    })),
    cleanup: state === 'removed' ? { removed: [`container gpuaas-${id}`], kept: [], failed: [] } : null,
    topology: null,
    adapter: {
      ...{ kind: 'oci_container', container_id: 'c1', container_name: `gpuaas-${id}`, container_state: 'running' },
      ...{ health: null, exit_code: null, oom_killed: false, restart_count: 0, image_digest: null, image_id: null },
      ...{ adopted: false, gpus: [], packages_excerpt: null },
    },
    ...given,
  };
}

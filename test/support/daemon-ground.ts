/**
 * A host with a real daemon, enrolled with a real control plane, with a network between them that a test can cut.
 *
 *   node-agent run (process) ──▶ cutting proxy ──▶ control plane (this process, its store in a folder)
 *        └──▶ gate (this process) ──▶ container engine
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentConfig } from '../../src/agent/config.ts';
import type { RecordBody } from '../../src/contract/records.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import { type TaskParams, type TaskType, workloadOf } from '../../src/contract/tasks.ts';
import type { WorkloadOutput } from '../../src/contract/workload-output.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import { type ControlPlane, createControlPlane } from '../../src/server/create-server.ts';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../../src/server/db/store.ts';
import { makeJoinToken } from '../../src/server/enrolment/join-token.ts';
import type { LogPart } from '../../src/server/hub/log-relay.ts';
import { openServerKeys, type ServerKeys } from '../../src/server/keys/server-keys.ts';
import { type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts';
import { type RecordingSink, recordingSink } from './recording-sink.ts';
import { type AgentProcessOptions, type RunningTask, startNodeAgent } from './run-task-process.ts';
import { anAllocation, aProject } from './store-samples.ts';
import { openTestHost, type TestHost, type TestHostOptions } from './test-host.ts';

export interface DaemonGround {
  readonly host: TestHost;
  readonly proxy: CuttingProxy;
  readonly sink: RecordingSink;
  readonly nodeId: string;
  readonly stateDir: string;
  readonly configFile: string;
  /** Of the control plane; for tests that sign as nobody should. */
  readonly keys: ServerKeys;
  /** Starts the daemon; it ends with the ground. */
  start(options?: AgentProcessOptions): RunningTask;
  /** Resolves when the node has a session. */
  connected(): Promise<void>;
  /** Queues a task for the node and returns its id. */
  enqueue<T extends TaskType>(type: T, params: TaskParams<T>): Promise<string>;
  cancel(taskId: string): Promise<void>;
  /** Changes what the control plane knows. */
  write: Store['write'];
  /** Tasks that were sent to the node and have not ended. */
  atNode(): Promise<number>;
  /** Resolves with the result that the control plane has kept; also for one that came earlier. */
  result(taskId: string): Promise<TaskResult>;
  /** Queues a task and resolves with its result. */
  run<T extends TaskType>(type: T, params: TaskParams<T>): Promise<TaskResult>;
  /** The log of a workload from now on, as the control plane gets it from the node. */
  followLog(workloadId: string, signal: AbortSignal, service?: string): AsyncIterable<LogPart>;
  /** Events that were reported about a workload, in order. */
  events(workloadId: string | null): RecordBody<'event'>[];
  /** Ends the control plane and starts it again on the same store, behind the same origin. */
  restartControlPlane(): Promise<void>;
  stopControlPlane(): Promise<void>;
  startControlPlane(): Promise<void>;
  close(): Promise<void>;
}

export async function openDaemonGround(
  hostOptions: TestHostOptions = {},
  config: Partial<AgentConfig> | ((host: TestHost) => Partial<AgentConfig>) = {},
): Promise<DaemonGround> {
  await using undo = new AsyncDisposableStack();
  const host = await openTestHost(hostOptions);
  undo.defer(() => host.close());
  const sink = recordingSink();
  const proxy = await startCuttingProxy(0);
  undo.defer(() => proxy.close());
  const keys = await openServerKeys(join(host.folder, 'server-keys'));
  let running = await startServer(host, proxy, sink, keys);
  const stopControlPlane = async () => {
    await running.controlPlane.close();
    await running.store.close();
  };
  undo.defer(stopControlPlane);
  const stateDir = join(host.folder, 'state');
  const configFile = writeDaemonConfig(host, typeof config === 'function' ? config(host) : config);
  await enrol(host, running.store, keys, proxy, configFile);
  const nodeId = (JSON.parse(readFileSync(join(stateDir, 'identity/node.json'), 'utf8')) as { node_id: string })
    .node_id;
  const startControlPlane = async () => {
    running = await startServer(host, proxy, sink, keys);
  };
  const enqueue: DaemonGround['enqueue'] = async (type, params) => {
    const { store, controlPlane } = running;
    const workload_id = workloadOf(params) ?? nodeId;
    const task = await store.write((tx) =>
      controlPlane.context.queue.enqueue(tx, {
        ...{ node_id: nodeId, allocation_id: host.policy.allocation.id, type, params, workload_id },
        ...{ purpose: 'launch', trace_id: 'trace-1' },
      }),
    );
    return task.id;
  };
  const result: DaemonGround['result'] = async (taskId) => {
    const find = () => sink.ended.find(({ id }) => id === taskId)?.result;
    await until(() => find() !== undefined, `the result of ${taskId}`);
    return find() as TaskResult;
  };
  const all = undo.move();
  return {
    ...{ host, proxy, sink, nodeId, stateDir, configFile, keys, stopControlPlane, startControlPlane, enqueue, result },
    run: async (type, params) => await result(await enqueue(type, params)),
    start: (options) => {
      const daemon = startNodeAgent(['run', '--config', configFile], options);
      all.defer(async () => {
        daemon.child.kill('SIGKILL');
        await daemon.ended;
      });
      return daemon;
    },
    write: (work) => running.store.write(work),
    connected: async () =>
      await until(() => running.controlPlane.context.hub.isConnected(nodeId), 'the node to connect'),
    cancel: async (taskId) => {
      const { store, controlPlane } = running;
      await store.write((tx) => controlPlane.context.queue.cancel(tx, taskId));
    },
    atNode: async () =>
      await running.store.read((tx) => tx.tasks.count({ node_id: nodeId, state: ['leased', 'accepted'] })),
    followLog: (id, signal, service) => {
      const source =
        service === undefined ? ({ kind: 'instance', id } as const) : ({ kind: 'service', id, service } as const);
      const request = { source, cursor: null, tail: 0, follow: true } as const;
      return running.controlPlane.context.hub.readLog(nodeId, request, signal);
    },
    events: (workloadId) =>
      sink.records.flatMap((record) =>
        record.kind === 'event' && record.body.workload_id === workloadId ? [record.body] : [],
      ),
    restartControlPlane: async () => {
      await stopControlPlane();
      await startControlPlane();
    },
    close: async () => await all.disposeAsync(),
  };
}

interface ConnectedGround {
  readonly ground: DaemonGround;
  readonly daemon: RunningTask;
  /** Reference of the smallest image. */
  readonly tiny: string;
}

/** The same with a daemon that has a session. */
export async function openConnectedGround(
  hostOptions?: TestHostOptions,
  config?: Parameters<typeof openDaemonGround>[1],
  options?: AgentProcessOptions,
): Promise<ConnectedGround> {
  await using undo = new AsyncDisposableStack();
  const ground = await openDaemonGround(hostOptions, config);
  undo.defer(() => ground.close());
  const tiny = await ground.host.image('tiny');
  const daemon = ground.start(options);
  await ground.connected();
  undo.move();
  return { ground, daemon, tiny };
}

interface Server {
  readonly store: Store;
  readonly controlPlane: ControlPlane;
}

async function startServer(
  host: TestHost,
  proxy: CuttingProxy,
  sink: RecordingSink,
  keys: ServerKeys,
): Promise<Server> {
  const store = openSqliteStore(join(host.folder, 'control-plane.db'));
  const controlPlane = createControlPlane({
    ...{ store, keys, sink, clock: systemClock, log: createLog({ level: 'silent' }), version: '0.0.0-test' },
    releases: join(host.folder, 'releases'),
    outputs: join(host.folder, 'job-outputs'),
    revisions: join(host.folder, 'revisions'),
    settings: {
      ...{ publicUrl: `http://127.0.0.1:${proxy.port}`, ca: '', launchEnabled: true },
      ...{ registries: [host.registryHost], tokenRegistries: [], upstream: {} },
      ...{ artifactPolicy: 'published', platform: 'linux/amd64', environment: 'test' },
    },
  });
  proxy.target = (await controlPlane.listen('127.0.0.1', 0)).port;
  return { store, controlPlane };
}

function writeDaemonConfig(host: TestHost, over: Partial<AgentConfig>): string {
  const { node_id: _, gate, ...config } = JSON.parse(readFileSync(host.configFile, 'utf8')) as AgentConfig;
  const file = join(host.folder, 'daemon.json');
  const daemon = { ...config, gate: { ...gate, socket: host.gate.socketPath }, telemetry: { port: 0 }, ...over };
  writeFileSync(file, JSON.stringify(daemon), { mode: 0o600 });
  return file;
}

/** As an operator does: with the command, and a token in a file. */
async function enrol(
  { folder, policy }: TestHost,
  store: Store,
  keys: ServerKeys,
  proxy: CuttingProxy,
  configFile: string,
): Promise<void> {
  const allocation_id = policy.allocation.id;
  const { token } = await store.write(async (tx) => {
    await tx.projects.insert(aProject());
    await tx.allocations.insert(anAllocation({ id: allocation_id }));
    return await makeJoinToken(tx, keys, { allocation_id, created_by: 'test', now: Date.now(), ca: '' });
  });
  const tokenFile = join(folder, 'join-token');
  writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
  const url = `http://127.0.0.1:${proxy.port}`;
  const { code, stderr } = await startNodeAgent([
    ...['enroll', '--url', url, '--token-file', tokenFile, '--config', configFile],
  ]).ended;
  if (code !== 0) {
    throw new Error(`enrolment ended with ${code}: ${stderr}`);
  }
}

/**
 * Waits for a condition of another process, which nobody announces. The usual limit is above the longest time that an agent
 * may wait before it dials again, which is two minutes after many attempts.
 */
export async function until(condition: () => boolean | Promise<boolean>, what: string, seconds = 150): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!(await condition())) {
    if (performance.now() > end) {
      throw new Error(`waited ${seconds} s in vain for ${what}`);
    }
    await systemClock.pause(20);
  }
}

/** The output of a task that succeeded; an error that says why it did not. */
export function outputOf({ status, output, failure }: TaskResult): WorkloadOutput {
  if (status !== 'succeeded') {
    throw new Error(`${status}: ${JSON.stringify(failure)}`);
  }
  return output as WorkloadOutput;
}

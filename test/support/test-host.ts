/**
 * A host of a test's own: policy, gate and dispatcher in temporary folders, on the real engine.
 *
 * Everything it makes carries its own allocation id, and `close` takes all of it away, whatever the test did.
 */
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCompose } from '../../bootstrap/dev/compose.ts';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { Dispatcher, type DispatcherOptions, type RunOptions } from '../../src/agent/dispatch.ts';
import { openGpuLedger } from '../../src/agent/host-gpus.ts';
import { openHostJobs } from '../../src/agent/host-jobs.ts';
import { openWrappingKey, type WrappingKey } from '../../src/agent/identity/wrapping-key.ts';
import type { Journal } from '../../src/agent/journal/journal.ts';
import { buildLabels, labels } from '../../src/contract/names.ts';
import type { RecordBody } from '../../src/contract/records.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import { type TaskParams, type TaskType, taskSchemas, workloadOf } from '../../src/contract/tasks.ts';
import { type Gate, startGate } from '../../src/gate/gate.ts';
import type { EngineRoom } from '../../src/jobs/engine-room.ts';
import type { RevisionSource } from '../../src/jobs/inputs/job-inputs.ts';
import type { JobMeans } from '../../src/jobs/job-means.ts';
import type { JobRecords } from '../../src/jobs/job-record.ts';
import { memoryRecords } from '../../src/jobs/memory-records.ts';
import type { OutputDestination } from '../../src/jobs/outputs/hand-over.ts';
import { openOutputs } from '../../src/jobs/outputs/keep-outputs.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import type { HostPolicy } from '../../src/policy/host-policy.ts';
import { openStacks } from '../../src/runtime/compose/open-stacks.ts';
import { openDockerEngine } from '../../src/runtime/docker/docker-engine.ts';
import type { ContainerEngine } from '../../src/runtime/engine.ts';
import { engineCall } from './engine-call.ts';
import { toldRecords } from './told-records.ts';

type ImageName = Parameters<typeof ensureImage>[1];
export type LaunchParams = TaskParams<'workload.oci_launch'>;

/** For a workload that is ready as soon as it runs. */
export const readyAtOnce: LaunchParams['readiness'] = [{ type: 'exec', command: ['/bin/true'], timeout_seconds: 60 }];

/**
 * A command that the kernel ends for its memory, and whose container ends with it a moment later. An engine 20.10 hears of some
 * such kills only after the end, or never where the container has gone with the process: seven of a hundred on a busy machine.
 */
export const endsForItsMemory = 'tail /dev/zero || { sleep 1; exit 137; }';

/** A workload that listens to SIGUSR1, and is ready when it does: before, the signal would be lost. */
export function onUsr1(action: string): Pick<LaunchParams, 'command' | 'readiness'> {
  return {
    command: [`trap "${action}" USR1; touch /tmp/listens; while :; do sleep 0.1; done`],
    readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/listens'], timeout_seconds: 60 }],
  };
}

export interface TestHost {
  readonly folder: string;
  readonly policy: HostPolicy;
  readonly engineSocket: string;
  readonly registryHost: string;
  readonly engine: ContainerEngine;
  readonly key: WrappingKey;
  readonly gate: Gate;
  readonly jobs: JobMeans;
  /** What the gate logged. */
  readonly gateLog: string[];
  /** Path of the configuration that makes `node-agent run-task` this very host. */
  readonly configFile: string;
  image(name: ImageName): Promise<string>;
  /** A launch of the image that sleeps, changed by `over`. */
  launchParams(image: string, over?: Partial<LaunchParams>): LaunchParams;
  run<T extends TaskType>(type: T, params: TaskParams<T>, options?: EnvelopeOptions): Promise<TaskResult>;
  restartGate(): Promise<void>;
  /** Sends a signal to the main process of a container, as somebody on the host would. */
  signal(container: string, name: string): Promise<void>;
  /** Takes away every workload of this host, so that a test finds all its resources free. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

export interface EnvelopeOptions extends RunOptions {
  readonly fencing?: number;
  readonly deadlineSeconds?: number;
  readonly taskId?: string;
}

export interface TestHostOptions {
  readonly engineSocket?: string;
  readonly policy?: Partial<HostPolicy>;
  /** Where jobs of this host may fetch from. */
  readonly inputs?: Partial<HostPolicy['inputs']>;
  /** How long no byte may come from there. */
  readonly idleMs?: number;
  /** Where jobs are written down; else in memory. */
  readonly journal?: Pick<Journal, 'jobs'>;
  /** Where what is kept of jobs goes. */
  readonly outputs?: OutputDestination;
  /** Where the files of revisions come from. */
  readonly revisions?: RevisionSource;
  /** What registries are asked with. */
  readonly pullCredential?: DispatcherOptions['pullCredential'];
  /** Makes room on the disk of the engine. */
  readonly room?: (engine: ContainerEngine, jobs: JobRecords) => EngineRoom;
  readonly onJobReport?: (body: RecordBody<'job.report'>) => void;
}

export async function openTestHost(options: TestHostOptions = {}): Promise<TestHost> {
  const ground = { engine: await ensureEngine(), registry: await ensureRegistry() };
  const engineSocket = options.engineSocket ?? ground.engine.socketPath;
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-host-'));
  const policy = testPolicy(folder, ground.registry.host, options);
  const gateLog: string[] = [];
  const gateOptions = {
    ...{ socketPath: join(folder, 'gate.sock'), engineSocket, stateDir: join(folder, 'gate'), policy },
    log: createLog({ level: 'info', destination: { write: (line) => void gateLog.push(line) } }),
  };
  let gate = await startGate(gateOptions);
  const engine = openDockerEngine({ socketPath: gate.socketPath });
  const composeFolder = await ensureCompose();
  const stacks = openStacks({ socketPath: gate.socketPath, stateDir: join(folder, 'state'), folders: [composeFolder] });
  const key = await openWrappingKey(join(folder, 'state'));
  const told = options.onJobReport && toldRecords(options.onJobReport);
  const records = told ?? options.journal?.jobs ?? memoryRecords();
  const jobs = openHostJobs({
    fetching: { policy, log: createLog({ level: 'error' }), revisions: options.revisions, idleMs: options.idleMs },
    outputs:
      options.outputs &&
      openOutputs({
        ...{ engine, destination: options.outputs, folder: join(folder, 'state/jobs'), clock: systemClock },
        ...{ log: createLog({ level: 'error' }), limits: { each: 2 ** 30, all: 2 ** 30, reserve: 0 } },
      }),
    journal: { jobs: records },
    scriptLogs: join(folder, 'state/script-logs'),
    room: options.room?.(engine, records),
  });
  const dispatcher = new Dispatcher({
    ...{
      engine,
      stacks,
      policy,
      gpus: openGpuLedger({ engine, policy }),
      jobs,
      unseal: key.unseal,
      now: Date.now,
    },
    ...(options.pullCredential && { pullCredential: options.pullCredential }),
    taskLogs: { folder: join(folder, 'state/task-logs'), level: 'info', maxBytes: 2 ** 20, maxTasks: 100 },
  });
  let fencing = 0;

  return {
    ...{ folder, policy, engineSocket, registryHost: ground.registry.host, engine, key, gateLog, jobs },
    get gate() {
      return gate;
    },
    configFile: writeConfig(folder, policy, { engineSocket, composeFolder }),
    image: async (name) =>
      (await ensureImage({ socketPath: ground.engine.socketPath, host: ground.registry.host }, name)).reference,
    launchParams: (image, over) => ({ ...sleepingLaunch(image, policy), ...over }),
    run: async (type, params, { fencing: chosen, deadlineSeconds = 120, taskId = randomUUID(), ...rest } = {}) => {
      fencing += 1;
      const instance = workloadOf(params) ?? 'host';
      return await dispatcher.run(
        {
          ...{ task_id: taskId, type, schema_version: taskSchemas[type].version, node_id: policy.node_id },
          ...{ allocation_id: policy.allocation.id, workload_id: instance, attempt: 1, fencing: chosen ?? fencing },
          ...{ deadline_seconds: deadlineSeconds, issued_at: new Date().toISOString() },
          ...{ not_after: new Date(Date.now() + 3_600_000).toISOString(), trace_id: '', params },
        },
        rest,
      );
    },
    restartGate: async () => {
      await gate.close();
      gate = await startGate(gateOptions);
    },
    signal: async (container, name) => {
      const path = `/containers/${container}/kill?signal=${name}`;
      const { status, body } = await engineCall(engineSocket, 'POST', path);
      if (status !== 204) throw new Error(`${path}: ${status} ${JSON.stringify(body)}`);
    },
    clear: async () => await removeEverything(engineSocket, policy.allocation.id),
    close: async () => {
      engine.close();
      await removeEverything(engineSocket, policy.allocation.id);
      await gate.close();
      rmSync(policy.secrets_dir, { recursive: true, force: true });
      rmSync(folder, { recursive: true, force: true });
      rmSync(policy.inputs.dir, { recursive: true, force: true });
    },
  };
}

function testPolicy(folder: string, registryHost: string, { policy, inputs }: TestHostOptions): HostPolicy {
  const id = randomBytes(5).toString('hex');
  const user = { uid: 61_901, gid: 61_901, home: join(folder, 'home') };
  mkdirSync(user.home, { mode: 0o755 });
  chownSync(user.home, user.uid, user.gid);
  // Temporary folders are closed to others by default, but the workload's user must get to its home.
  chownSync(folder, user.uid, user.gid);
  return {
    node_id: 'test-node',
    allocation: { id: randomUUID(), ...user },
    registries: [{ host: registryHost, prefixes: ['gpuaas-dev'] }],
    ...{ local_images: [], project_storage: true, approved_engines: ['docker'], sandboxes: { runc: 'runc' } },
    network_pool: `10.213.${randomInt(16) * 16}.0/20`,
    reserves: { cpu_cores: 0, memory_gib: 0.5, disk_gib: 0.5 },
    limits: { pids: 512, open_files: 4096 },
    secrets_dir: `/dev/shm/gpuaas-test-${id}`,
    inputs: { dir: `${folder}-inputs`, max_gib: 1, max_age_hours: 1, allow: [], endpoints: {}, ...inputs },
    ...policy,
  };
}

function writeConfig(
  folder: string,
  policy: HostPolicy,
  { engineSocket, composeFolder }: { engineSocket: string; composeFolder: string },
): string {
  const { allocation, ...rest } = policy;
  const file = join(folder, 'agent.json');
  const config = {
    ...rest,
    allocation: { id: allocation.id, user: { uid: allocation.uid, gid: allocation.gid, home: allocation.home } },
    ...{ state_dir: join(folder, 'state'), run_dir: join(folder, 'run') },
    stacks: { plugin_folders: [composeFolder] },
    // A socket nobody listens on: run-task starts a gate of its own, with the same key.
    gate: { socket: join(folder, 'no-gate.sock'), state_dir: join(folder, 'gate'), engine_socket: engineSocket },
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

function sleepingLaunch(reference: string, policy: HostPolicy): LaunchParams {
  return {
    identity: {
      ...{ project_id: 'project-1', app_instance_id: `test-${randomBytes(5).toString('hex')}` },
      ...{ allocation_id: policy.allocation.id, app_slug: 'test', app_version: '1', display_name: 'A test' },
    },
    image: { kind: 'registry', reference, media_type: 'application/vnd.docker.distribution.manifest.v2+json' },
    entrypoint: ['/bin/sh', '-c'],
    command: ['trap "exit 0" TERM; while :; do sleep 1; done'],
    env: {},
    resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.0625 },
    ...{ mounts: [], ports: [], python_packages: [], readiness: [], sandbox: 'runc' },
    restart: { policy: 'no', max_retries: 0 },
    log_limits: { max_size_mib: 1, max_files: 2 },
  };
}

/** Takes away what is on the engine for an allocation, past the gate. */
export async function removeEverything(engineSocket: string, allocation: string): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`${labels.allocation}=${allocation}`] }));
  const containers = await engineCall<{ Id: string }[]>(
    engineSocket,
    'GET',
    `/containers/json?all=1&filters=${filters}`,
  );
  for (const { Id } of containers.body) {
    await engineCall(engineSocket, 'DELETE', `/containers/${Id}?force=1&v=1`);
  }
  const networks = await engineCall<{ Id: string }[]>(engineSocket, 'GET', `/networks?filters=${filters}`);
  for (const { Id } of networks.body) {
    await engineCall(engineSocket, 'DELETE', `/networks/${Id}`);
  }
  type Volumes = { readonly Volumes: readonly { readonly Name: string }[] | null };
  const volumes = await engineCall<Volumes>(engineSocket, 'GET', `/volumes?filters=${filters}`);
  for (const { Name } of volumes.body.Volumes ?? []) {
    await engineCall(engineSocket, 'DELETE', `/volumes/${Name}`);
  }
  const built = JSON.stringify({ dangling: ['true'], label: [`${buildLabels.allocation}=${allocation}`] });
  await engineCall(engineSocket, 'POST', `/images/prune?filters=${encodeURIComponent(built)}`);
}

/** The commands of a host beside its real daemon: each asks the daemon, and what it says is what really is. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import type { AgentStatus, TaskSummary } from '../../src/agent/local-api/agent-status.ts';
import { type DaemonGround, openDaemonGround, outputOf, until } from '../support/daemon-ground.ts';
import { containerOf, containersNamed, inspectRaw } from '../support/looking.ts';
import { type RunningTask, startNodeAgent } from '../support/run-task-process.ts';
import { type LaunchParams, readyAtOnce } from '../support/test-host.ts';

let ground: DaemonGround;
let daemon: RunningTask;
let port: number;
let params: LaunchParams;
let taskId: string;

beforeAll(async () => {
  port = await freePort();
  ground = await openDaemonGround({}, { telemetry: { port, interval_seconds: 1 } });
  daemon = ground.start();
  await ground.connected();
  params = ground.host.launchParams(await ground.host.image('tiny'), {
    command: ['echo I am up; trap "exit 0" TERM; while :; do sleep 1; done'],
    readiness: readyAtOnce,
  });
  taskId = await ground.enqueue('workload.oci_launch', params);
  outputOf(await ground.result(taskId));
});

afterAll(async () => await ground?.close());

async function nodeAgent(...args: string[]) {
  const { code, stdout, stderr } = await startNodeAgent([...args, '--config', ground.configFile]).ended;
  return { code, stdout, stderr, json: <T>() => JSON.parse(stdout) as T };
}

function taskFile(task: unknown): string {
  const file = join(ground.host.folder, `task-${crypto.randomUUID()}.json`);
  writeFileSync(file, JSON.stringify(task));
  return file;
}

describe('beside its daemon, node-agent', () => {
  it('status tells the session, the engine and the workload', async () => {
    const status = (await nodeAgent('status', '--json')).json<AgentStatus>();

    expect(status).toMatchObject({
      node_id: ground.nodeId,
      session: { state: 'connected' },
      engine: { state: 'ready' },
    });
    expect(status.pid).toBe(daemon.child.pid);
    expect(status.workloads).toMatchObject([{ workload_id: params.identity.app_instance_id, state: 'running' }]);
  });

  it('tasks lists what the control plane sent', async () => {
    const { tasks } = (await nodeAgent('tasks', '--json')).json<{ tasks: TaskSummary[] }>();

    expect(tasks).toContainEqual(
      expect.objectContaining({ task_id: taskId, state: 'succeeded', trace_id: 'trace-1', failure_code: null }),
    );
  });

  it('logs prints what the workload wrote, and with --task what the agent did', async () => {
    const id = params.identity.app_instance_id;

    // It is ready at once, before it has said anything.
    await until(async () => (await nodeAgent('logs', id)).stdout === 'I am up\n', 'what it says first');
    expect((await nodeAgent('logs', taskId, '--task', '--tail', '1')).stdout).toContain('task ends');
  });

  it('explain tells how the instance came about: by whom, how long each phase took, what the engine said', async () => {
    const { stdout } = await nodeAgent('explain', params.identity.app_instance_id);

    expect(stdout).toMatch(/^instance \S+ \(A test\): running\n/);
    expect(stdout).toContain(`task ${taskId}, fencing 1, trace trace-1`);
    expect(stdout).toMatch(/The workload was starting\. {2}\(\d+(\.\d)? m?s\)/);
    expect(stdout).toMatch(/engine {7}The container was started\./);
    expect(stdout).not.toContain('could not be');
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^What to do next: Nothing: it runs\./);
  });

  it('doctor and config answer for the daemon', async () => {
    const checks = (await nodeAgent('doctor', '--json')).json<{ checks: { name: string; status: string }[] }>().checks;
    const config = (await nodeAgent('config', '--json')).json<{ config: { node_id: string } }>().config;

    expect(checks.length).toBeGreaterThan(5);
    expect(config.node_id).toBe(ground.nodeId);
  });

  it('run-task has the daemon carry out a task, in the same journal', async () => {
    const launch = ground.host.launchParams(await ground.host.image('tiny'), {
      readiness: readyAtOnce,
    });

    const { code, stdout, stderr } = await nodeAgent(
      'run-task',
      taskFile({ type: 'workload.oci_launch', params: launch }),
    );

    expect([code, stderr.includes('The workload is running.')]).toEqual([0, true]);
    const result = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as { task_id: string };
    const { tasks } = (await nodeAgent('tasks', '--json')).json<{ tasks: TaskSummary[] }>();
    expect(tasks.find(({ task_id }) => task_id === result.task_id)).toMatchObject({ state: 'succeeded' });
    expect((await inspectRaw(ground.host, containerOf(launch))).State.Status).toBe('running');
  });

  it('run-task asks the control plane for no credential: it knows nothing of the task', async () => {
    const unknown = `${ground.host.registryHost}/gpuaas-dev/tiny@sha256:${'0'.repeat(64)}`;
    const launch = ground.host.launchParams(unknown);

    const { code, stderr } = await nodeAgent('run-task', taskFile({ type: 'workload.oci_launch', params: launch }));

    expect(code).toBe(1);
    expect(stderr).toContain('[image.not_found]');
  });

  it('run-task that is interrupted cancels the task in the daemon, which takes away what it made', async () => {
    const launch = ground.host.launchParams(await ground.host.image('tiny'), {
      readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 60 }],
    });
    const file = taskFile({ type: 'workload.oci_launch', params: launch });
    const running = startNodeAgent(['run-task', file, '--config', ground.configFile]);
    await running.saw('The workload is probing.');

    running.child.kill('SIGINT');

    const { code, result } = await running.ended;
    expect([code, result?.status]).toEqual([1, 'cancelled']);
    expect(await containersNamed(ground.host, containerOf(launch))).toEqual([]);
  });

  it('drain refuses new work and leaves what runs, until it is taken back', async () => {
    expect((await nodeAgent('drain')).stdout).toContain('Draining');
    const file = taskFile({
      type: 'workload.oci_launch',
      params: ground.host.launchParams(await ground.host.image('tiny')),
    });

    const refused = await nodeAgent('run-task', file);

    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain('[agent.draining]');
    expect((await inspectRaw(ground.host, containerOf(params))).State.Status).toBe('running');
    expect((await nodeAgent('drain', '--off')).stdout).toBe('New work is taken.\n');
  });
});

describe('the daemon', () => {
  const get = async (path: string) => await fetch(`http://127.0.0.1:${port}${path}`);

  it('serves health and, while a workload runs, its metrics', async () => {
    const id = params.identity.app_instance_id;

    expect((await get('/healthz')).status).toBe(200);
    await until(
      async () => (await (await get('/metrics')).text()).includes(`gpuaas_workload_memory_bytes{workload="${id}"}`),
      'a sample of the workload',
    );
    expect(await (await get('/metrics')).text()).toContain('gpuaas_agent_session_connected 1\n');
  });

  it('is ready when a task would be taken, and says why where it would not', async () => {
    await until(async () => (await get('/readyz')).status === 200, 'it to be ready');

    ground.proxy.cut();
    await until(async () => (await get('/readyz')).status === 503, 'the session to be missed');

    expect(await (await get('/readyz')).text()).toContain('There is no session with');
    ground.proxy.mend();
    await ground.connected();
  });

  it('reports samples, topology and inventory', async () => {
    const kinds = () => new Set(ground.sink.records.map(({ kind }) => kind));

    await until(() => ['metrics', 'topology', 'inventory'].every((kind) => kinds().has(kind as never)), 'the reports');
  });

  it('is not there any more: explain says so, and goes on without it', async () => {
    daemon.child.kill('SIGTERM');
    await daemon.ended;

    const { code, stdout } = await nodeAgent('explain', params.identity.app_instance_id);

    expect(code).toBe(0);
    expect(stdout).toContain('note: No daemon answers; this was put together without it.');
    expect(stdout).toContain('trace trace-1');
    expect(stdout).toContain('What to do next: Nothing: it runs.');
  });
});

/** One instance from its launch to its end, through HTTP and the CLI, with every part a process of its own. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import type { AgentStatus } from '../../src/agent/local-api/agent-status.ts';
import { until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';

let wire: Wire;

beforeAll(async () => {
  wire = await openWire();
});
afterAll(async () => await wire?.close());

/** What the host's agent says of itself. */
async function status(): Promise<AgentStatus> {
  const { stdout } = await startNodeAgent(['status', '--config', wire.configFile, '--json']).ended;
  return JSON.parse(stdout) as AgentStatus;
}

/** Runs a line in the container of the instance as somebody who may change its files, to its end. */
async function asRoot(id: string, line: string): Promise<void> {
  const { socketPath } = await ensureEngine();
  const how = { User: '0', Cmd: ['/bin/sh', '-c', line], AttachStdout: true };
  const made = await engineCall<{ Id: string }>(socketPath, 'POST', `/containers/gpuaas-${id}/exec`, how);
  await engineCall(socketPath, 'POST', `/exec/${made.body.Id}/start`, { Detach: false });
  type Exec = { readonly Running: boolean; readonly ExitCode: number | null };
  const exec = async () => (await engineCall<Exec>(socketPath, 'GET', `/exec/${made.body.Id}/json`)).body;
  // What it prints may end before the engine knows how it ended.
  await until(async () => !(await exec()).Running, 'the end of the command');
  expect((await exec()).ExitCode).toBe(0);
}

const pageAt = async (port: number) => await (await fetch(`http://127.0.0.1:${port}/`)).text();

describe('a launch over HTTP', () => {
  it('ends up running, with a page that answers on 127.0.0.1 only (G-131, G-170, G-180, G-207)', async () => {
    const { id } = await wire.launch();

    const instance = await wire.reaches(id, 'running');

    const [{ port }] = instance.endpoints;
    expect(await pageAt(port)).toBe('hello\n');
    const { NetworkSettings, HostConfig } = await wire.inspect(id);
    expect(Object.values(NetworkSettings.Ports).flat()).toEqual([{ HostIp: '127.0.0.1', HostPort: String(port) }]);
    expect(HostConfig).toMatchObject({ NanoCpus: 1e8, Memory: 2 ** 26, Privileged: false });
    expect(instance.access).toEqual([
      expect.objectContaining({ tunnel: `ssh -N -L ${port}:127.0.0.1:${port} tenant@gpu.example.com` }),
    ]);
  });

  it('asks the host what it can run before it launches, and is deploying with its task (G-234, G-165)', async () => {
    const asked = Date.now();
    const { id } = await wire.launch();
    await wire.reaches(id, 'running');

    const { items } = (await wire.member.call('GET', `/api/v1/app-instances/${id}/events`)).body;

    const types = items.map(({ type }: { type: string }) => type);
    expect(types.slice(0, 2)).toEqual(['apps.instance.requested', 'apps.instance.deploying']);
    expect(types.at(-1)).toBe('apps.instance.running');
    const { runtime, runtime_at } = (await wire.admin.call('GET', `/api/v1/nodes/${wire.nodeId}`)).body;
    expect(runtime).toMatchObject({ ready: true });
    // What it has said counts for half a minute.
    expect(Date.parse(runtime_at)).toBeGreaterThan(asked - 31_000);
  });

  it('is one instance however often it is sent under one Idempotency-Key, with one token (X-9, G-210)', async () => {
    const body = await wire.request();
    const headers = { 'idempotency-key': 'once' };
    const send = (request: unknown) => wire.member.call('POST', '/api/v1/app-instances', request, headers);

    const [first, ...others] = [await send(body), await send(body), await send(body)];
    const changed = await send({ ...body, display_name: 'Another' });

    expect(others.map((other) => other.body.id)).toEqual([first?.body.id, first?.body.id]);
    expect(first?.body.credentials[0].token).toMatch(/^[0-9a-f]{48}$/);
    expect(others.map((other) => other.body.credentials)).toEqual([first?.body.credentials, first?.body.credentials]);
    expect((await wire.instance(first?.body.id)).credentials).toBeUndefined();
    expect([changed.status, changed.body.error.code]).toEqual([409, 'idempotency.conflict']);
    await wire.reaches(first?.body.id, 'running');
    expect(await wire.containers(first?.body.id)).toHaveLength(1);
  });

  it('that cannot be is refused at once, with all that is wrong, and leaves nothing (G-107 to G-116)', async () => {
    const body = await wire.request({ mode: 'dance', host_port: 80 });

    const { body: answer } = await wire.member.call('POST', '/api/v1/app-instances', {
      ...body,
      resource_overrides: { cpu_cores: 500 },
    });

    const paths = answer.error.errors.map(({ path }: { path: string }) => path);
    expect(paths).toEqual(expect.arrayContaining(['/config/mode', '/config/host_port']));
    const { items } = (await wire.member.call('GET', '/api/v1/app-instances')).body;
    expect(items.filter(({ config }: { config: { mode: string } }) => config.mode === 'dance')).toEqual([]);
  });

  it('of an app that ends at once fails with the reason, and what it wrote can be read (FAULTS 27)', async () => {
    const { id } = await wire.launch({ mode: 'fail' });

    const { failure, recovery } = await wire.reaches(id, 'failed');

    expect(failure).toMatchObject({ code: 'container.exited', detail: { exit_code: 3 } });
    expect(failure.detail.excerpt).toContain('told to fail');
    expect(recovery).toBe('drift');
    expect(await wire.containers(id)).toEqual([]);
    const logs = await wire.member.cli('apps', 'instances', 'logs', id).ended;
    expect([logs.code, logs.stdout]).toEqual([0, expect.stringContaining('told to fail')]);
  });
});

describe('the CLI', () => {
  it('launches with progress on stderr and the way in on stdout', async () => {
    const { config } = await wire.request();
    const { host_port: port } = config as { host_port: number };

    const launch = ['apps', 'instances', 'launch', 'web', '--allocation', wire.allocationId];
    const { code, stdout, stderr } = await wire.member.cli(...launch, '--set', `host_port=${port}`).ended;

    expect(code).toBe(0);
    const steps = stderr.match(/(?<=^\d\d:\d\d:\d\d {2}).+$/gm);
    expect(steps?.[0]).toMatch(/was asked for\.$/);
    expect(steps?.at(-1)).toBe('The workload is running and ready.');
    expect(stdout).toMatch(new RegExp(`ssh -N -L ${port}:127.0.0.1:${port} tenant@gpu.example.com`));
    expect(stdout).toMatch(new RegExp(`http://127.0.0.1:${port}/\\?token=[0-9a-f]{48}`));
  });

  it('stops, starts, restarts and decommissions, and tells what came of this action only (G-166)', async () => {
    const { id } = await wire.launch();
    const [{ port }] = (await wire.reaches(id, 'running')).endpoints;
    const act = async (action: string) => await wire.member.cli('apps', 'instances', action, id).ended;
    const { Id } = await wire.inspect(id);

    const stopped = await act('stop');
    expect([stopped.code, (await wire.inspect(id)).State.Status]).toEqual([0, 'exited']);
    await expect(pageAt(port)).rejects.toThrow();
    const started = await act('start');
    expect([started.code, await pageAt(port)]).toEqual([0, 'hello\n']);
    const restarted = await act('restart');
    expect([restarted.code, await pageAt(port)]).toEqual([0, 'hello\n']);
    expect((await wire.inspect(id)).Id).toBe(Id);
    const gone = await act('decommission');
    expect([gone.code, await wire.containers(id)]).toEqual([0, []]);

    expect(gone.stderr).toContain('It was taken away.');
    expect(gone.stderr).not.toContain('is starting');
    expect(existsSync(join(wire.folder, 'home/gpuaas/workloads', id))).toBe(false);
    const { state, billing } = await wire.instance(id);
    expect(state).toBe('decommissioned');
    expect(billing).toMatchObject({ project_id: wire.projectId, allocation_id: wire.allocationId });
    expect(billing.periods).toHaveLength(3);
  });

  it('tells the same of a restart that failed as the host, at once', async () => {
    const { id } = await wire.launch();
    await wire.reaches(id, 'running');
    await asRoot(id, 'echo "echo no way; exit 3" >/bin/serve');

    const { code, stderr } = await wire.member.cli('apps', 'instances', 'restart', id).ended;

    const { state, failure } = await wire.instance(id);
    expect([code, state, failure.code]).toEqual([1, 'failed', 'container.exited']);
    expect(stderr).toContain('[container.exited]');
    const onHost = (await status()).workloads.find(({ workload_id }) => workload_id === id);
    expect(onHost?.state).toBe('failed');

    expect((await wire.member.cli('apps', 'instances', 'decommission', id).ended).code).toBe(0);
  });

  it('lets go of a launch on Ctrl-C, and says that it goes on, and how to look at it or end it', async () => {
    const { host_port } = (await wire.request())['config'] as { host_port: number };
    const values = ['--set', `host_port=${host_port}`, '--set', 'wait_seconds=15'];
    const launch = wire.member.cli('apps', 'instances', 'launch', 'web', '--allocation', wire.allocationId, ...values);
    await launch.saw('The workload is probing.');

    launch.child.kill('SIGINT');
    const { code, stdout, stderr } = await launch.ended;

    expect([code, stdout]).toEqual([75, '']);
    expect(stderr).toMatch(
      /^error: The command was interrupted; what was asked for goes on\. \[command\.interrupted\]$/m,
    );
    expect(stderr).toMatch(/`gpuaas apps instances describe ID`.*`decommission`.* end it/);
    await wire.reaches(/instance: (\S+)/.exec(stderr)?.[1] ?? '', 'running');
  });

  it('names the options of a launch that is refused, and asks whoever has no project of his own for one', async () => {
    const launch = ['apps', 'instances', 'launch', 'web', '--allocation', wire.allocationId];

    const wrong = await wire.member.cli(...launch, '--set', 'mode=dance', '--set', 'host_port=80').ended;
    const admin = await wire.admin.cli(...launch).ended;

    expect(wrong.stderr).toContain('--set mode=…: ');
    expect(wrong.stderr).toContain('--set host_port=…: ');
    expect(admin.stderr).toContain('--project: is missing');
    expect([wrong.code, admin.code]).toEqual([3, 3]);
  });

  it('says by its exit status how it ended', async () => {
    const { id } = await wire.launch({ wait_seconds: 30 });

    const refused = await wire.member.cli('apps', 'instances', 'start', id, '--json').ended;
    const late = await wire.member.cli('apps', 'instances', 'decommission', id, '--timeout', '0').ended;
    const unknown = await wire.member.cli('apps', 'instances', 'describe', 'nobody').ended;
    const failed = await wire.member.cli(
      ...['apps', 'instances', 'launch', 'web', '--allocation', wire.allocationId, '--set', 'mode=fail'],
    ).ended;

    expect([refused.code, late.code, unknown.code, failed.code]).toEqual([3, 75, 3, 1]);
    await wire.reaches(id, 'decommissioned');
    expect(await wire.containers(id)).toEqual([]);
  });
});

describe('the end of an allocation', () => {
  it('takes its instances away, and with the last of them ends by itself', async () => {
    const { items } = (await wire.member.call('GET', '/api/v1/app-instances')).body;
    const alive = items.filter(({ state }: { state: string }) => state === 'running');

    const { code } = await wire.admin.cli('allocations', 'end', wire.allocationId).ended;
    for (const { id } of alive) await wire.reaches(id, 'decommissioned');
    const refused = await wire.member.call('POST', '/api/v1/app-instances', await wire.request());

    expect(code).toBe(0);
    expect(alive.length).toBeGreaterThan(0);
    for (const { id } of alive) expect(await wire.containers(id)).toEqual([]);
    const allocation = async () => (await wire.admin.call('GET', `/api/v1/allocations/${wire.allocationId}`)).body;
    // Those that had failed have to go as well.
    await until(async () => (await allocation()).state === 'ended', 'the end of the allocation');
    expect((await allocation()).ended_at).toEqual(expect.any(String));
    expect(refused.body.error.errors).toContainEqual(expect.objectContaining({ code: 'launch.allocation_not_active' }));
  });
});

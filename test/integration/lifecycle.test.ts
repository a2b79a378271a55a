/** Stop, start, restart, remove, relaunch: each twice, and two launches at once, on the real engine. */
import { existsSync, readdirSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, containersNamed, inspectRaw, networksOf, succeeded } from '../support/looking.ts';
import { type LaunchParams, openTestHost, readyAtOnce, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let tiny: string;

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});
afterEach(async () => await host.clear());
afterAll(async () => await host.close());

const scratch = [{ name: 'workspace', path: '/workspace', mode: 'scratch' as const, read_only: false }];

describe('control (G-151)', () => {
  it('stops, starts and restarts, and each a second time changes nothing or starts anew', async () => {
    const params = host.launchParams(tiny, { readiness: readyAtOnce });
    succeeded(await host.run('workload.oci_launch', params));
    const first = await startedAt(params);

    expect(succeeded(await control(params, 'stop'))).toMatchObject({
      state: 'stopped',
      adapter: { container_state: 'exited' },
    });
    expect(succeeded(await control(params, 'stop'))).toMatchObject({ state: 'stopped', failure: null });
    expect(succeeded(await control(params, 'start'))).toMatchObject({ state: 'running' });
    const second = await startedAt(params);
    expect(second).not.toBe(first);
    expect(succeeded(await control(params, 'start'))).toMatchObject({ state: 'running' });
    expect(await startedAt(params)).toBe(second);
    expect(succeeded(await control(params, 'restart'))).toMatchObject({ state: 'running' });
    const third = await startedAt(params);
    expect(third).not.toBe(second);
    succeeded(await control(params, 'restart'));
    expect(await startedAt(params)).not.toBe(third);
    expect(await containersNamed(host, containerOf(params))).toHaveLength(1);
  });

  it('starts what was stopped when the engine was cleaned of networks meanwhile', async () => {
    const params = host.launchParams(tiny, { readiness: readyAtOnce });
    succeeded(await host.run('workload.oci_launch', params));
    succeeded(await control(params, 'stop'));
    const name = containerOf(params);
    const remove = await engineCall(host.engineSocket, 'DELETE', `/networks/${name}`);

    const outputs = [succeeded(await control(params, 'start')), succeeded(await control(params, 'restart'))];

    expect(remove.status).toBe(204);
    expect(outputs).toMatchObject([{ state: 'running' }, { state: 'running' }]);
    const [network] = await networksOf(host, name);
    const { NetworkSettings } = await inspectRaw(host, name);
    expect(NetworkSettings.Networks).toMatchObject({ [name]: { NetworkID: network?.Id } });
  });

  it('kills what does not stop within its grace, and calls that stopped, not failed (FAULTS 26)', async () => {
    const params = host.launchParams(tiny, {
      command: ['trap "" TERM; touch /tmp/deaf; while :; do sleep 1; done'],
      readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/deaf'], timeout_seconds: 60 }],
    });
    succeeded(await host.run('workload.oci_launch', params));

    const output = succeeded(await control(params, 'stop', 1));

    expect(output).toMatchObject({ state: 'stopped', failure: null, adapter: { exit_code: 137, oom_killed: false } });
  });

  it('tells of a start that failed what was said since then, and nothing of the lives before (FAULTS 27)', async () => {
    const command = ['echo life; test -e /tmp/again && exit 3; touch /tmp/again; while :; do sleep 1; done'];
    const readiness = [{ type: 'exec' as const, command: ['/bin/test', '-f', '/tmp/again'], timeout_seconds: 60 }];
    const params = host.launchParams(tiny, { command, readiness });
    succeeded(await host.run('workload.oci_launch', params));

    const first = await control(params, 'restart', 0);
    const second = await control(params, 'start', 0);

    const excerpts = [first, second].map(({ failure }) => [failure?.code, failure?.detail['excerpt']]);
    expect(excerpts).toEqual(Array.from({ length: 2 }, () => ['container.exited', 'life']));
  });

  it('starts nothing beside a network of its name that is not ours, and touches neither (name.conflict)', async () => {
    const params = host.launchParams(tiny, { readiness: readyAtOnce });
    succeeded(await host.run('workload.oci_launch', params));
    const [own] = await networksOf(host, containerOf(params));
    const body = { Name: containerOf(params), CheckDuplicate: false, Internal: true };
    const { body: foreign } = await engineCall<{ Id: string }>(host.engineSocket, 'POST', '/networks/create', body);
    try {
      const refused = await control(params, 'restart', 0);
      await engineCall(host.engineSocket, 'DELETE', `/networks/${foreign.Id}`);
      const started = succeeded(await control(params, 'start'));

      expect(refused).toMatchObject({
        status: 'failed',
        failure: { code: 'name.conflict' },
        output: { state: 'stopped' },
      });
      expect(started.state).toBe('running');
      expect(await networksOf(host, containerOf(params))).toEqual([own]);
    } finally {
      await engineCall(host.engineSocket, 'DELETE', `/networks/${foreign.Id}`);
    }
  });

  it('starts a workload that somebody has paused anew, for a start as for another launch of it', async () => {
    const params = host.launchParams(tiny, { readiness: readyAtOnce });
    const launched = succeeded(await host.run('workload.oci_launch', params));
    const pause = () => engineCall(host.engineSocket, 'POST', `/containers/${containerOf(params)}/pause`);

    await pause();
    const started = succeeded(await control(params, 'start', 0));
    await pause();
    const again = succeeded(await host.run('workload.oci_launch', params));

    expect([started.state, again.state]).toEqual(['running', 'running']);
    expect(again.adapter).toMatchObject({ adopted: true, container_id: launched.adapter.container_id });
    expect((await inspectRaw(host, containerOf(params))).State.Status).toBe('running');
  });

  it('of a workload that is not there is container.not_found', async () => {
    const result = await control(host.launchParams(tiny), 'start');

    expect(result).toMatchObject({ status: 'rejected', failure: { code: 'container.not_found' } });
  });

  it('under an older fencing than the container is task.stale', async () => {
    const params = host.launchParams(tiny, { readiness: readyAtOnce });
    succeeded(await host.run('workload.oci_launch', params, { fencing: 50 }));

    const result = await host.run(
      'workload.oci_control',
      { identity: params.identity, action: 'stop', grace_seconds: 1 },
      { fencing: 49 },
    );

    expect(result.failure?.code).toBe('task.stale');
    expect((await inspectRaw(host, containerOf(params))).State.Status).toBe('running');
  });
});

describe('remove (G-152, G-130)', () => {
  it('takes container, network and scratch away, and succeeds again when there is nothing', async () => {
    const params = host.launchParams(tiny, { mounts: scratch, readiness: readyAtOnce });
    const name = containerOf(params);
    succeeded(await host.run('workload.oci_launch', params));
    expect(existsSync(rootOf(params))).toBe(true);

    const first = succeeded(await remove(params, false));
    const second = succeeded(await remove(params, false));

    expect(first.cleanup?.removed).toEqual([`container ${name}`, `network ${name}`, `folder ${rootOf(params)}`]);
    expect(second).toMatchObject({ state: 'removed', cleanup: { removed: [], failed: [] } });
    expect(await containersNamed(host, name)).toEqual([]);
    expect(await networksOf(host, name)).toEqual([]);
    expect(existsSync(rootOf(params))).toBe(false);
  });

  it('keeps scratch folders when asked, and a relaunch finds them', async () => {
    const command = ['echo kept >> /workspace/file; touch /tmp/kept; while :; do sleep 1; done'];
    const readiness = [{ type: 'exec' as const, command: ['/bin/test', '-f', '/tmp/kept'], timeout_seconds: 60 }];
    const params = host.launchParams(tiny, { mounts: scratch, readiness, command });
    succeeded(await host.run('workload.oci_launch', params));

    succeeded(await remove(params, true));
    expect(readdirSync(`${rootOf(params)}/workspace`)).toEqual(['file']);
    succeeded(await host.run('workload.oci_launch', params));

    const name = containerOf(params);
    const { tail } = await host.engine.exec(name, ['/bin/cat', '/workspace/file'], {
      signal: AbortSignal.timeout(60_000),
    });
    expect(tail).toBe('kept\nkept\n');
  });
});

describe('launching again (G-158)', () => {
  it('with the same params adopts the container', async () => {
    const params = host.launchParams(tiny, { readiness: readyAtOnce });
    const first = succeeded(await host.run('workload.oci_launch', params));

    const second = succeeded(await host.run('workload.oci_launch', params));

    expect(second.adapter).toMatchObject({ adopted: true, container_id: first.adapter.container_id });
    expect(await containersNamed(host, containerOf(params))).toHaveLength(1);
  });

  it('with other params replaces it under a higher fencing, and is task.stale otherwise', async () => {
    const params = host.launchParams(tiny, { readiness: readyAtOnce });
    const changed = { ...params, env: { VERSION: '2' } };
    const first = succeeded(await host.run('workload.oci_launch', params, { fencing: 10 }));

    const stale = await host.run('workload.oci_launch', changed, { fencing: 10 });
    const replaced = succeeded(await host.run('workload.oci_launch', changed, { fencing: 11 }));

    expect(stale.failure?.code).toBe('task.stale');
    expect(replaced.adapter.container_id).not.toBe(first.adapter.container_id);
    expect((await inspectRaw(host, containerOf(params))).Config.Env).toContain('VERSION=2');
  });

  it('twice at the same moment makes one container', async () => {
    const params = host.launchParams(tiny, { readiness: readyAtOnce });

    const results = await Promise.all([
      host.run('workload.oci_launch', params),
      host.run('workload.oci_launch', params),
    ]);

    const ids = results.map((result) => succeeded(result).adapter.container_id);
    expect(new Set(ids).size).toBe(1);
    expect(await containersNamed(host, containerOf(params))).toEqual([ids[0]]);
  });

  it('of different instances at the same moment gives each its own container and network', async () => {
    const all = Array.from({ length: 4 }, () => host.launchParams(tiny, { readiness: readyAtOnce }));

    const results = await Promise.all(all.map((params) => host.run('workload.oci_launch', params)));

    const outputs = results.map(succeeded);
    const subnets = await Promise.all(
      all.map(async (params) => (await networksOf(host, containerOf(params)))[0]?.IPAM.Config[0]?.Subnet),
    );
    expect(new Set(outputs.map(({ adapter }) => adapter.container_id)).size).toBe(4);
    expect(new Set(subnets).size).toBe(4);
  });

  it('never promises more memory than the host has, also to two at once', async () => {
    const status = await host.run('workload.oci_runtime_status', {});
    const { memory_gib } = (status.output as { resources: { memory_gib: { free: number } } }).resources;
    const most = Math.floor(memory_gib.free * 0.6 * 16) / 16;
    const resources = { gpu_count: 0, cpu_cores: 0.1, memory_gib: most };
    const both = [
      host.launchParams(tiny, { resources, readiness: readyAtOnce }),
      host.launchParams(tiny, { resources, readiness: readyAtOnce }),
    ];

    const results = await Promise.all(both.map((params) => host.run('workload.oci_launch', params)));

    expect(results.map(({ status, failure }) => failure?.code ?? status).sort()).toEqual([
      'resources.exceeded',
      'succeeded',
    ]);
    await Promise.all(both.map((params) => remove(params, false)));
  });
});

function control(params: LaunchParams, action: 'stop' | 'start' | 'restart', grace_seconds = 5) {
  return host.run('workload.oci_control', { identity: params.identity, action, grace_seconds });
}

function remove(params: LaunchParams, keep_data: boolean) {
  return host.run('workload.oci_remove', { identity: params.identity, keep_data, grace_seconds: 1 });
}

function rootOf({ identity }: LaunchParams): string {
  return `${host.policy.allocation.home}/gpuaas/workloads/${identity.app_instance_id}`;
}

async function startedAt(params: LaunchParams): Promise<string | null | undefined> {
  return (await host.engine.inspect(containerOf(params), AbortSignal.timeout(60_000)))?.startedAt;
}

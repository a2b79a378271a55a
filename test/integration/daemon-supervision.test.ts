/** What the daemon does for workloads between tasks, on a real engine: restarts, OOM, gate, lost journal, orphans, drain. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type DaemonGround, openConnectedGround, outputOf, until } from '../support/daemon-ground.ts';
import { containerOf, containersNamed, inspectRaw } from '../support/looking.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { endsForItsMemory, type LaunchParams, onUsr1 } from '../support/test-host.ts';

let ground: DaemonGround;
let tiny: string;
let daemon: RunningTask;

beforeAll(async () => {
  ({ ground, daemon, tiny } = await openConnectedGround());
});
afterEach(async () => await ground.host.clear());
afterAll(async () => await ground?.close());

async function launch(over: Partial<LaunchParams>): Promise<LaunchParams> {
  const params = ground.host.launchParams(tiny, over);
  outputOf(await ground.run('workload.oci_launch', params));
  return params;
}

const typesOf = ({ identity }: LaunchParams) => ground.events(identity.app_instance_id).map(({ event }) => event.type);

describe('a workload that ends', () => {
  it('is started again by its policy, is running again, and is told so', async () => {
    const params = await launch({ restart: { policy: 'on_failure', max_retries: 3 } });
    const before = await inspectRaw(ground.host, containerOf(params));

    await ground.host.signal(before.Id, 'KILL');
    await until(() => typesOf(params).includes('workload.running'), 'the workload to be back');

    const after = await inspectRaw(ground.host, containerOf(params));
    expect(typesOf(params)).toEqual(['container.exited', 'workload.restarted', 'workload.running']);
    expect(after).toMatchObject({ Id: before.Id, State: { Status: 'running' } });
    expect(after.State.Pid).not.toBe(before.State.Pid);
  });

  it('for its memory is container.oom_killed (FAULTS 26)', async () => {
    const params = await launch(onUsr1(endsForItsMemory));

    await ground.host.signal(containerOf(params), 'USR1');
    await until(() => typesOf(params).includes('container.oom_killed'), 'the end');

    const ended = ground.events(params.identity.app_instance_id).find(({ state }) => state !== null);
    expect(ended).toMatchObject({ state: 'failed', failure: { code: 'container.oom_killed' } });
  });

  it('because a task stops it is told as the result of the task, and stays stopped', async () => {
    const params = await launch({ restart: { policy: 'always', max_retries: 3 } });

    const stop = { identity: params.identity, action: 'stop', grace_seconds: 0 } as const;
    outputOf(await ground.run('workload.oci_control', stop));
    await launch({});

    expect((await inspectRaw(ground.host, containerOf(params))).State.Status).toBe('exited');
    expect(typesOf(params)).toEqual([]);
  });
});

describe('a gate that is restarted', () => {
  it('in the middle of a launch is waited for: the launch happens once (FAULTS 36)', async () => {
    const params = ground.host.launchParams(tiny, {
      command: ['sleep 2; touch /tmp/ok; sleep 1000'],
      readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/ok'], timeout_seconds: 60 }],
    });
    const taskId = await ground.enqueue('workload.oci_launch', params);
    await until(async () => (await containersNamed(ground.host, containerOf(params))).length === 1, 'the container');

    await ground.host.restartGate();

    const output = outputOf(await ground.result(taskId));
    expect(await containersNamed(ground.host, containerOf(params))).toEqual([output.adapter.container_id]);
  });
});

describe('a journal that is damaged', () => {
  it('is set aside; workloads are adopted by their seals, run on, and are restarted as before (FAULTS 19)', async () => {
    const params = await launch({ restart: { policy: 'on_failure', max_retries: 3 } });
    const before = await inspectRaw(ground.host, containerOf(params));
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    for (const suffix of ['-wal', '-shm']) {
      rmSync(join(ground.stateDir, `agent.db${suffix}`), { force: true });
    }
    writeFileSync(join(ground.stateDir, 'agent.db'), 'this is no database');

    daemon = ground.start();
    await until(() => typesOf(params).includes('workload.adopted'), 'the workload to be adopted');

    const after = await inspectRaw(ground.host, containerOf(params));
    expect([after.Id, after.State.Pid]).toEqual([before.Id, before.State.Pid]);
    expect(ground.events(null).map(({ event }) => event.type)).toContain('journal.rebuilt');

    await ground.host.signal(before.Id, 'KILL');
    await until(() => typesOf(params).includes('workload.running'), 'the workload to be back');
    expect((await inspectRaw(ground.host, containerOf(params))).State.Status).toBe('running');
  });
});

describe('a host that drains', () => {
  it('rejects launches, carries out what empties it, and remembers it over a restart', async () => {
    const params = await launch({});
    outputOf(await ground.run('agent.drain', { drain: true, reason: 'a new driver' }));
    daemon.child.kill('SIGTERM');
    await daemon.ended;
    daemon = ground.start();

    const refused = await ground.run('workload.oci_launch', ground.host.launchParams(tiny));
    const remove = { identity: params.identity, keep_data: false, grace_seconds: 0 };
    const removed = await ground.run('workload.oci_remove', remove);
    outputOf(await ground.run('agent.drain', { drain: false, reason: '' }));

    expect(refused).toMatchObject({ status: 'rejected', failure: { code: 'agent.draining' } });
    expect(outputOf(removed).state).toBe('removed');
    await launch({});
  });
});

/** Tasks that reach a real daemon in the wrong order, because their first delivery was lost on the way (FAULTS 6). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TaskType } from '../../src/contract/tasks.ts';
import { type DaemonGround, openDaemonGround, outputOf, until } from '../support/daemon-ground.ts';
import { containerOf, containersNamed, inspectRaw, networksOf } from '../support/looking.ts';
import { type Meddler, startMeddler, taskIn } from '../support/meddling-proxy.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import type { LaunchParams } from '../support/test-host.ts';

let ground: DaemonGround;
let meddler: Meddler;
let daemon: RunningTask;
let tiny: string;

beforeAll(async () => {
  ground = await openDaemonGround();
  tiny = await ground.host.image('tiny');
  meddler = await startMeddler(ground.proxy.target);
  ground.proxy.target = meddler.port;
  daemon = ground.start();
  await ground.connected();
});
afterEach(async () => await ground.host.clear());
afterAll(async () => {
  await ground?.close();
  await meddler?.close();
});

/** Tasks of that type are lost on their way until the way out is called; then they are handed out again. */
function losing(type: TaskType) {
  const lost: string[] = [];
  meddler.swallows = (message) => {
    const task = taskIn(message);
    if (task?.type !== type) return false;
    lost.push(task.task_id);
    return true;
  };
  return {
    has: async (taskId: string) => await until(() => lost.includes(taskId), 'the delivery to be lost'),
    handedOutAgain: () => {
      meddler.swallows = () => false;
      ground.proxy.cut();
      ground.proxy.mend();
    },
  };
}

const removal = ({ identity }: LaunchParams) => ({ identity, keep_data: false, grace_seconds: 0 });

describe('a launch that arrives behind the removal of its workload', () => {
  it('is task.stale, makes nothing, and neither does it after a restart of the agent (FAULTS 6)', async () => {
    const params = ground.host.launchParams(tiny);
    const loss = losing('workload.oci_launch');
    const launch = await ground.enqueue('workload.oci_launch', params);
    await loss.has(launch);

    const removed = await ground.run('workload.oci_remove', removal(params));
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    daemon = ground.start();
    loss.handedOutAgain();
    const { status, failure, output } = await ground.result(launch);

    expect(outputOf(removed).state).toBe('removed');
    expect([status, failure?.code, output]).toEqual(['rejected', 'task.stale', null]);
    expect(await containersNamed(ground.host, containerOf(params))).toEqual([]);
    expect(await networksOf(ground.host, containerOf(params))).toEqual([]);
    expect(ground.sink.ended.filter(({ id }) => id === launch)).toHaveLength(1);
  });

  it('leaves the way free for a newer launch', async () => {
    const params = ground.host.launchParams(tiny);
    outputOf(await ground.run('workload.oci_remove', removal(params)));

    const output = outputOf(await ground.run('workload.oci_launch', params));

    expect(output.state).toBe('running');
  });
});

describe('a task with a fencing number that is not the newest', () => {
  it.each([
    ['stop', 'workload.oci_control'],
    ['removal', 'workload.oci_remove'],
  ] as const)('is task.stale if it is a %s, and the workload runs on (FAULTS 6)', async (_what, type) => {
    const params = ground.host.launchParams(tiny);
    outputOf(await ground.run('workload.oci_launch', params));
    const loss = losing(type);
    const stop = { identity: params.identity, action: 'stop', grace_seconds: 0 } as const;
    const old =
      type === 'workload.oci_control' ? await ground.enqueue(type, stop) : await ground.enqueue(type, removal(params));
    await loss.has(old);

    const changed = { ...params, env: { NEWER: 'yes' } };
    outputOf(await ground.run('workload.oci_launch', changed));
    const before = await inspectRaw(ground.host, containerOf(params));
    loss.handedOutAgain();
    const { status, failure } = await ground.result(old);

    const after = await inspectRaw(ground.host, containerOf(params));
    expect([status, failure?.code]).toEqual(['rejected', 'task.stale']);
    expect([after.Id, after.State.Pid, after.State.Status]).toEqual([before.Id, before.State.Pid, 'running']);
    expect(after.Config.Env).toContain('NEWER=yes');
  });
});

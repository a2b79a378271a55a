/** `node-agent run` as a process, against a real control plane and a real engine. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type DaemonGround, openConnectedGround, outputOf, until } from '../support/daemon-ground.ts';
import { containerOf, containersNamed, inspectRaw, statusOf } from '../support/looking.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { readyAtOnce } from '../support/test-host.ts';

let ground: DaemonGround;
let tiny: string;
let daemon: RunningTask;

beforeAll(async () => {
  ({ ground, daemon, tiny } = await openConnectedGround());
});
afterEach(() => ground.proxy.mend());
afterAll(async () => await ground?.close());

const readyLaunch = () => ground.host.launchParams(tiny, { readiness: readyAtOnce });

describe('enrolment', () => {
  it('has removed the token file', () => {
    expect(existsSync(join(ground.host.folder, 'join-token'))).toBe(false);
  });
});

const [established, accepting] = ['01', '0A'];

/** Local addresses of the TCP sockets of a process that are in this state, as the kernel writes both. */
function socketsOf(pid: number | undefined, wanted: string): string[] {
  const fds = `/proc/${pid}/fd`;
  const own = new Set(readdirSync(fds).map((fd) => readlinkUnlessGone(join(fds, fd))));
  const rows = ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n').slice(1),
  );
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === wanted && own.has(`socket:[${inode}]`))
    .map(([, local = '']) => local.split(':')[0] ?? '');
}

function readlinkUnlessGone(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

describe('the daemon', () => {
  it('dials, and accepts no connection over a network: nobody dials a host (X-1)', async () => {
    await ground.connected();

    expect(socketsOf(daemon.child.pid, established)).not.toEqual([]);
    expect(socketsOf(daemon.child.pid, accepting)).toEqual([]);
  });
});

describe('a launch', () => {
  it('comes from the control plane, runs on the engine, and its result is kept there', async () => {
    const params = readyLaunch();

    const result = await ground.run('workload.oci_launch', params);

    expect(outputOf(result).state).toBe('running');
    expect((await inspectRaw(ground.host, containerOf(params))).State.Status).toBe('running');
  });

  it('whose network is cut in the middle goes on, and its result arrives once (FAULTS 1)', async () => {
    const params = ground.host.launchParams(tiny, {
      command: ['sleep 1; touch /tmp/ok; sleep 1000'],
      readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/ok'], timeout_seconds: 30 }],
    });
    const taskId = await ground.enqueue('workload.oci_launch', params);
    await until(async () => (await containersNamed(ground.host, containerOf(params))).length === 1, 'the container');

    ground.proxy.cut();
    await until(async () => (await statusOf(ground.host, containerOf(params))) === 'running', 'the container to run');
    ground.proxy.mend();

    expect(outputOf(await ground.result(taskId)).state).toBe('running');
    expect(ground.sink.ended.filter(({ id }) => id === taskId)).toHaveLength(1);
    expect(await containersNamed(ground.host, containerOf(params))).toHaveLength(1);
  });
});

describe('a task that is cancelled', () => {
  it('while it waits behind another one of its workload has its result at once, and the other one goes on', async () => {
    const params = ground.host.launchParams(tiny, {
      readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/ok'], timeout_seconds: 100 }],
    });
    const launch = await ground.enqueue('workload.oci_launch', params);
    await until(async () => (await statusOf(ground.host, containerOf(params))) === 'running', 'the container to run');
    const stop = { identity: params.identity, action: 'stop', grace_seconds: 0 } as const;
    const waiting = await ground.enqueue('workload.oci_control', stop);

    await ground.cancel(waiting);

    expect(await ground.result(waiting)).toMatchObject({ status: 'cancelled', failure: { code: 'task.cancelled' } });
    expect(ground.sink.ended.map(({ id }) => id)).not.toContain(launch);
    await ground.cancel(launch);
    expect((await ground.result(launch)).status).toBe('cancelled');
    expect(await containersNamed(ground.host, containerOf(params))).toEqual([]);
  });
});

describe('SIGTERM', () => {
  it('ends the agent with 0, and every workload lives on', async () => {
    const params = readyLaunch();
    outputOf(await ground.run('workload.oci_launch', params));
    const before = await inspectRaw(ground.host, containerOf(params));

    daemon.child.kill('SIGTERM');
    const { code } = await daemon.ended;

    const after = await inspectRaw(ground.host, containerOf(params));
    expect(code).toBe(0);
    expect([after.State.Status, after.State.Pid]).toEqual(['running', before.State.Pid]);
    daemon = ground.start();
    await ground.connected();
  });
});

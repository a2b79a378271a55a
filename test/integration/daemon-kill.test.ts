/** The daemon killed with SIGKILL in every phase, and started again: one container, one result (FAULTS 11 to 14). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ensureGround } from '../../bootstrap/dev/ground.ts';
import { buildWheel, serveIndex } from '../../bootstrap/dev/python-index.ts';
import { type DaemonGround, openConnectedGround, outputOf, until } from '../support/daemon-ground.ts';
import { containerOf, containersNamed, inspectRaw, networksOf, statusOf } from '../support/looking.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { type LaunchParams, onUsr1 } from '../support/test-host.ts';

let ground: DaemonGround;
let tiny: string;
let daemon: RunningTask;

beforeAll(async () => {
  ({ ground, daemon, tiny } = await openConnectedGround());
});
afterEach(async () => await ground.host.clear());
afterAll(async () => await ground?.close());

/** Kills the daemon as soon as the control plane has heard that the task is in that phase. */
async function killIn(phase: string, taskId: string): Promise<void> {
  await until(
    () =>
      ground.sink.records.some(
        ({ kind, body }) =>
          kind === 'task.progress' &&
          body.task_id === taskId &&
          body.event.type === 'phase.entered' &&
          body.event.phase === phase,
      ),
    `${taskId} to be ${phase}`,
  );
  daemon.child.kill('SIGKILL');
  expect((await daemon.ended).signal).toBe('SIGKILL');
}

async function expectOnce(taskId: string, params: LaunchParams): Promise<void> {
  const output = outputOf(await ground.result(taskId));
  const name = containerOf(params);
  expect(output.state).toBe('running');
  expect(ground.sink.ended.filter(({ id }) => id === taskId)).toHaveLength(1);
  expect(await containersNamed(ground.host, name)).toEqual([output.adapter.container_id]);
  expect(await networksOf(ground.host, name)).toHaveLength(1);
  expect((await inspectRaw(ground.host, name)).State.Status).toBe('running');
}

describe('SIGKILL in the middle of a launch, then the next life of the agent', () => {
  it.each(['pulling', 'creating', 'starting', 'probing'])('while %s', async (phase) => {
    const params = ground.host.launchParams(tiny, {
      command: ['sleep 2; touch /tmp/ok; sleep 1000'],
      readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/ok'], timeout_seconds: 60 }],
    });
    const taskId = await ground.enqueue('workload.oci_launch', params);

    await killIn(phase, taskId);
    daemon = ground.start();

    await expectOnce(taskId, params);
  });

  it('which was cancelled meanwhile: what it had made is taken away', async () => {
    const params = ground.host.launchParams(tiny, {
      readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 100 }],
    });
    const taskId = await ground.enqueue('workload.oci_launch', params);
    await killIn('probing', taskId);

    await ground.cancel(taskId);
    daemon = ground.start();

    expect((await ground.result(taskId)).status).toBe('cancelled');
    expect(await containersNamed(ground.host, containerOf(params))).toEqual([]);
    expect(await networksOf(ground.host, containerOf(params))).toEqual([]);
  });

  it('while packages are installed: joined or run again, never ready too early (FAULTS 13)', async () => {
    const python = await ensureGround(['python']);
    const wheel = await buildWheel('late-arrival', '1.0.0', { modules: { 'late_arrival.py': 'here = True\n' } });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const index = await serveIndex([wheel], python.engine.bridgeAddress, {
      beforeAnswer: async (path) => (path.endsWith('.whl') ? await released : undefined),
    });
    const params = ground.host.launchParams(python.images.python.reference, {
      entrypoint: ['python', '-c'],
      command: ['import time; time.sleep(100000)'],
      env: { PIP_INDEX_URL: index.url, PIP_TRUSTED_HOST: new URL(index.url).hostname },
      python_packages: ['late-arrival==1.0.0'],
      readiness: [{ type: 'exec', command: ['python', '-c', 'import late_arrival'], timeout_seconds: 60 }],
      resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 0.25 },
    });
    try {
      const taskId = await ground.enqueue('workload.oci_launch', params);
      await killIn('installing_packages', taskId);
      daemon = ground.start();
      await ground.connected();
      expect(ground.sink.ended.find(({ id }) => id === taskId)).toBeUndefined();
      release();

      await expectOnce(taskId, params);
    } finally {
      await index.close();
    }
  });
});

describe('SIGKILL while nothing is at work', () => {
  it('loses nothing: what ended meanwhile is told by the next life, with the time of the engine (FAULTS 26)', async () => {
    const params = ground.host.launchParams(tiny, {
      ...onUsr1('exit 3'),
      restart: { policy: 'no', max_retries: 0 },
    });
    outputOf(await ground.run('workload.oci_launch', params));
    const { Id } = await inspectRaw(ground.host, containerOf(params));
    daemon.child.kill('SIGKILL');
    await daemon.ended;

    await ground.host.signal(Id, 'USR1');
    await until(async () => (await statusOf(ground.host, Id)) === 'exited', 'the end');
    daemon = ground.start();

    const id = params.identity.app_instance_id;
    await until(() => ground.events(id).some(({ event }) => event.type === 'container.exited'), 'the event');
    const [ended] = ground.events(id).filter(({ event }) => event.type === 'container.exited');
    expect(ended).toMatchObject({ state: 'failed', event: { values: { exit_code: 3 } } });
    expect(ended?.event.time).toBe((await inspectRaw(ground.host, Id)).State.FinishedAt);
  });
});

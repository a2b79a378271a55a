/**
 * `node-agent run-task` killed with SIGKILL and run again, in every phase and between any two calls of the engine
 * (FAULTS 12 to 14). Each process has a gate of its own, which dies with it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureGround } from '../../bootstrap/dev/ground.ts';
import { buildWheel, serveIndex } from '../../bootstrap/dev/python-index.ts';
import type { WorkloadOutput } from '../../src/contract/workload-output.ts';
import { workloadRoot } from '../../src/policy/host-policy.ts';
import { engineCall } from '../support/engine-call.ts';
import { type EngineFront, startEngineFront } from '../support/engine-front.ts';
import { containerOf, containersNamed, inspectRaw, networksOf } from '../support/looking.ts';
import { type Ended, type RunningTask, startRunTask } from '../support/run-task-process.ts';
import { type LaunchParams, openTestHost, readyAtOnce, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let front: EngineFront;
/** The same host, for processes whose gate has the front for an engine. */
let fronted: Pick<TestHost, 'folder' | 'configFile'>;
let tiny: string;

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
  front = await startEngineFront(join(host.folder, 'engine-front.sock'), host.engineSocket);
  const config = JSON.parse(readFileSync(host.configFile, 'utf8'));
  config.gate.engine_socket = front.socketPath;
  fronted = { folder: host.folder, configFile: join(host.folder, 'fronted.json') };
  writeFileSync(fronted.configFile, JSON.stringify(config), { mode: 0o600 });
});
afterEach(async () => {
  front.release();
  await host.clear();
});
afterAll(async () => {
  await front?.close();
  await host?.close();
});

const launch = (params: LaunchParams) => ({ type: 'workload.oci_launch', params });
const launchThatIsReady = () => host.launchParams(tiny, { readiness: readyAtOnce });
/** Starts of this container that reached the engine. */
const startsOf = (id: string) => front.reached.filter((line) => line.endsWith(`/containers/${id}/start`));

describe('SIGKILL in the middle of a launch, then the same task again', () => {
  it.each(['pulling', 'creating', 'starting', 'probing'])('while %s: one container, running', async (phase) => {
    // Ready when the test says so: the first run cannot end before it is killed.
    const params = host.launchParams(tiny, {
      mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
      readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/workspace/ok'], timeout_seconds: 600 }],
    });

    await killAt(phase, params);
    const again = startRunTask(host, launch(params));
    await again.saw('The workload is probing.');
    writeFileSync(join(workloadRoot(host.policy, params.identity.app_instance_id), 'workspace/ok'), '');

    await expectOnce(await again.ended, params);
  });

  it('between create and start: the created container is adopted and started once (FAULTS 12)', async () => {
    const params = launchThatIsReady();
    const held = front.hold('request', 'POST', /\/containers\/[^/]+\/start$/);

    const first = startRunTask(fronted, launch(params));
    await killOnce(held, first);
    const before = await inspectRaw(host, containerOf(params));
    expect(before.State.Status).toBe('created');
    expect(startsOf(before.Id)).toHaveLength(0);
    const again = await startRunTask(fronted, launch(params)).ended;

    await expectOnce(again, params);
    expect(await inspectRaw(host, containerOf(params))).toMatchObject({ Id: before.Id, State: { Status: 'running' } });
    expect(startsOf(before.Id)).toHaveLength(1);
  });

  it('after start, before anybody knew: the running container is adopted as it is (FAULTS 14)', async () => {
    const params = launchThatIsReady();
    const held = front.hold('answer', 'POST', /\/containers\/[^/]+\/start$/);

    const first = startRunTask(fronted, launch(params));
    await killOnce(held, first);
    const before = await inspectRaw(host, containerOf(params));
    expect(before.State.Status).toBe('running');
    const again = await startRunTask(fronted, launch(params)).ended;

    await expectOnce(again, params);
    const after = await inspectRaw(host, containerOf(params));
    expect({ id: after.Id, pid: after.State.Pid }).toEqual({ id: before.Id, pid: before.State.Pid });
    expect(startsOf(before.Id)).toHaveLength(1);
  });

  it('of which the container has ended meanwhile: the same container is started again', async () => {
    const params = launchThatIsReady();
    succeededOrThrow(await startRunTask(host, launch(params)).ended);
    const name = containerOf(params);
    await engineCall(host.engineSocket, 'POST', `/containers/${name}/kill?signal=KILL`);
    const [before] = await containersNamed(host, name);

    const again = await startRunTask(host, launch(params)).ended;

    await expectOnce(again, params);
    expect(await containersNamed(host, name)).toEqual([before]);
  });

  it('while packages are installed: joined or run again, never ready too early (FAULTS 13)', async () => {
    const ground = await ensureGround(['python']);
    const wheel = await buildWheel('slow-arrival', '1.0.0', { modules: { 'slow_arrival.py': 'here = True\n' } });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const index = await serveIndex([wheel], ground.engine.bridgeAddress, {
      beforeAnswer: async (path) => (path.endsWith('.whl') ? await released : undefined),
    });
    const params = host.launchParams(ground.images.python.reference, {
      entrypoint: ['python', '-c'],
      command: ['import time; time.sleep(100000)'],
      // It does not ask again for what is held back here.
      env: { ...index.env, PIP_DEFAULT_TIMEOUT: '100' },
      python_packages: ['slow-arrival==1.0.0'],
      readiness: [{ type: 'exec', command: ['python', '-c', 'import slow_arrival'], timeout_seconds: 60 }],
      resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 0.25 },
    });
    try {
      await killAt('installing packages', params);
      const running = startRunTask(host, launch(params));
      await running.saw('The workload is installing packages.');
      release();
      const again = await running.ended;

      await expectOnce(again, params);
      expect(index.requests.filter((line) => line.includes('.whl')).length).toBeLessThanOrEqual(1);
    } finally {
      await index.close();
    }
  });
});

describe('a port', () => {
  it('is free again after SIGKILL and remove', async () => {
    const port = await freePort();
    const params = host.launchParams(tiny, {
      ports: [{ name: 'web', container_port: 80, host_port: port, protocol: 'tcp' }],
      readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 60 }],
    });
    await killAt('probing', params);

    const removed = await startRunTask(host, {
      type: 'workload.oci_remove',
      params: { identity: params.identity, keep_data: false, grace_seconds: 0 },
    }).ended;

    expect(removed.code).toBe(0);
    const next = host.launchParams(tiny, {
      ports: [{ name: 'web', container_port: 80, host_port: port, protocol: 'tcp' }],
      readiness: readyAtOnce,
    });
    succeededOrThrow(await startRunTask(host, launch(next)).ended);
  });
});

/** Kills the process once the call of it is held. */
async function killOnce(held: Promise<void>, running: RunningTask): Promise<void> {
  const early = running.ended.then(({ stderr }) => Promise.reject(new Error(`it ended before: ${stderr}`)));
  await Promise.race([held, early]);
  running.child.kill('SIGKILL');
  await expect(early).rejects.toThrow();
  expect((await running.ended).signal).toBe('SIGKILL');
}

async function killAt(phase: string, params: LaunchParams): Promise<void> {
  const running = startRunTask(host, launch(params));
  await running.saw(`The workload is ${phase}.`);
  running.child.kill('SIGKILL');
  expect((await running.ended).signal).toBe('SIGKILL');
}

function succeededOrThrow(ended: Ended): WorkloadOutput {
  if (ended.result?.status !== 'succeeded') {
    throw new Error(`run-task exited ${ended.code}: ${JSON.stringify(ended.result?.failure)} ${ended.stderr}`);
  }
  return ended.result.output as WorkloadOutput;
}

async function expectOnce(ended: Ended, params: LaunchParams): Promise<void> {
  const output = succeededOrThrow(ended);
  const name = containerOf(params);
  expect(output.state).toBe('running');
  expect(await containersNamed(host, name)).toEqual([output.adapter.container_id]);
  expect(await networksOf(host, name)).toHaveLength(1);
  expect((await inspectRaw(host, name)).State.Status).toBe('running');
}

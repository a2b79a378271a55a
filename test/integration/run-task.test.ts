/** `node-agent run-task` as a process: result, exit status, and SIGKILL in every phase (FAULTS 11 to 14, 36). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ensureGround } from '../../bootstrap/dev/ground.ts';
import { buildWheel, serveIndex } from '../../bootstrap/dev/python-index.ts';
import type { WorkloadOutput } from '../../src/contract/workload-output.ts';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, containersNamed, inspectRaw, networksOf } from '../support/looking.ts';
import { type Ended, startNodeAgent, startRunTask } from '../support/run-task-process.ts';
import { freePort, type LaunchParams, openTestHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let tiny: string;

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});
afterEach(async () => await host.clear());
afterAll(async () => await host.close());

const launch = (params: LaunchParams) => ({ type: 'workload.oci_launch', params });

describe('node-agent run-task', () => {
  it('prints the result as the last line of stdout, progress on stderr, and exits 0 only on success', async () => {
    const params = host.launchParams(tiny, {
      readiness: [{ type: 'exec', command: ['/bin/true'], timeout_seconds: 20 }],
    });

    const { code, result, stderr, stdout } = await startRunTask(host, launch(params)).ended;

    expect({ code, status: result?.status }).toEqual({ code: 0, status: 'succeeded' });
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/pulling[\s\S]*creating[\s\S]*starting[\s\S]*probing[\s\S]*running/);
  });

  it('exits 3 for a rejected task, with the path of what is wrong, and makes nothing (FAULTS 9)', async () => {
    const params = { ...host.launchParams(tiny), privileged: true };

    const { code, result } = await startRunTask(host, launch(params)).ended;

    expect(code).toBe(3);
    expect(result).toMatchObject({
      status: 'rejected',
      failure: { code: 'task.invalid', detail: { errors: [{ path: '/params/privileged', code: 'unknown_key' }] } },
    });
    expect(await containersNamed(host, containerOf(params))).toEqual([]);
  });

  it('exits 1 for a failed task', async () => {
    const { code, result } = await startRunTask(host, launch(host.launchParams(tiny, { command: ['exit 9'] }))).ended;

    expect({ code, failure: result?.failure?.code }).toEqual({ code: 1, failure: 'container.exited' });
  });

  it('carries out a whole envelope, and refuses one for another node', async () => {
    const envelope = {
      ...{ task_id: 'task-1', type: 'workload.oci_runtime_status', schema_version: 1, node_id: host.policy.node_id },
      ...{
        allocation_id: host.policy.allocation.id,
        workload_id: 'host',
        attempt: 1,
        fencing: 0,
        deadline_seconds: 60,
      },
      ...{ issued_at: '2026-01-01T00:00:00Z', not_after: '2999-01-01T00:00:00Z', trace_id: '', params: {} },
    };

    const own = await startRunTask(host, envelope).ended;
    const foreign = await startRunTask(host, { ...envelope, node_id: 'another' }).ended;

    expect(own).toMatchObject({ code: 0, result: { task_id: 'task-1', status: 'succeeded' } });
    expect(foreign).toMatchObject({ code: 3, result: { status: 'rejected', failure: { code: 'task.untrusted' } } });
  });

  it('cancelled by SIGTERM takes away what it made', async () => {
    const params = host.launchParams(tiny, {
      readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 90 }],
    });
    const running = startRunTask(host, launch(params));
    await running.saw('probing');

    running.child.kill('SIGTERM');
    const { code, result } = await running.ended;

    expect({ code, status: result?.status }).toEqual({ code: 1, status: 'cancelled' });
    expect(await containersNamed(host, containerOf(params))).toEqual([]);
    expect(await networksOf(host, containerOf(params))).toEqual([]);
  });

  it('waits its turn when another one is at work, or says who is with --wait 0', async () => {
    const params = host.launchParams(tiny, {
      command: ['sleep 2; touch /tmp/ok; sleep 1000'],
      readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/ok'], timeout_seconds: 30 }],
    });
    const first = startRunTask(host, launch(params));
    await first.saw('probing');

    const impatient = await startRunTask(host, { type: 'workload.oci_runtime_status', params: {} }, [
      '--wait',
      '0',
      '--json',
    ]).ended;
    const patient = await startRunTask(host, { type: 'workload.oci_runtime_status', params: {} }).ended;

    expect(impatient.code).toBe(75);
    expect(JSON.parse(impatient.stdout)).toMatchObject({ failure: { code: 'agent.busy' } });
    expect(patient.code).toBe(0);
    expect((await first.ended).code).toBe(0);
  });

  it('goes through the gate of the host where one runs', async () => {
    const socket = `${host.folder}/own-gate.sock`;
    const env = { GPUAAS_AGENT_GATE_SOCKET: socket };
    Object.assign(process.env, env);
    const gate = startNodeAgent(['gate', '--config', host.configFile]);
    try {
      await gate.saw('gate listens');
      const { code } = await startRunTask(
        host,
        launch(host.launchParams(tiny, { readiness: [{ type: 'exec', command: ['/bin/true'], timeout_seconds: 20 }] })),
      ).ended;

      expect(code).toBe(0);
    } finally {
      delete process.env['GPUAAS_AGENT_GATE_SOCKET'];
      gate.child.kill('SIGTERM');
      expect((await gate.ended).code).toBe(0);
    }
  });
});

describe('SIGKILL in the middle of a launch, then the same task again', () => {
  it.each(['pulling', 'creating', 'starting', 'probing'])(
    'while %s: one container, running (FAULTS 11, 12, 14)',
    async (phase) => {
      const params = host.launchParams(tiny, {
        command: ['sleep 1; touch /tmp/ok; sleep 1000'],
        readiness: [{ type: 'exec', command: ['/bin/test', '-f', '/tmp/ok'], timeout_seconds: 30 }],
      });

      await killAt(phase, params);
      const again = await startRunTask(host, launch(params)).ended;

      await expectOnce(again, params);
    },
  );

  it('between create and start: the created container is adopted and started once (FAULTS 12)', async () => {
    const params = host.launchParams(tiny, {
      readiness: [{ type: 'exec', command: ['/bin/true'], timeout_seconds: 30 }],
    });
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
      env: { PIP_INDEX_URL: index.url, PIP_TRUSTED_HOST: new URL(index.url).hostname },
      python_packages: ['slow-arrival==1.0.0'],
      readiness: [{ type: 'exec', command: ['python', '-c', 'import slow_arrival'], timeout_seconds: 5 }],
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
      readiness: [{ type: 'exec', command: ['/bin/true'], timeout_seconds: 60 }],
    });
    succeededOrThrow(await startRunTask(host, launch(next)).ended);
  });
});

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

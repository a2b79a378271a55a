/** `node-agent run-task` as a process: result and exit status. */
import { renameSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { containerOf, containersNamed, networksOf } from '../support/looking.ts';
import { startNodeAgent, startRunTask } from '../support/run-task-process.ts';
import { type LaunchParams, openTestHost, readyAtOnce, type TestHost } from '../support/test-host.ts';

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
      readiness: readyAtOnce,
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

  it('tells a person what its own gate refused once, and not in the log lines of the gate', async () => {
    const params = host.launchParams(tiny, {
      mounts: [{ name: 'ws', path: '/workspace', mode: 'scratch', read_only: false }],
    });
    const { home } = host.policy.allocation;
    renameSync(home, `${home}-away`);
    const { result, stderr } = await startRunTask(host, launch(params)).ended.finally(() => {
      renameSync(`${home}-away`, home);
    });

    expect(result?.failure).toMatchObject({ code: 'mount.refused', detail: { path: home } });
    expect(stderr.match(/does not exist/g)).toHaveLength(1);
    expect(stderr).not.toContain('"level"');
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
      readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 600 }],
    });
    const running = startRunTask(host, launch(params));
    await running.saw('probing');

    running.child.kill('SIGTERM');
    const { code, result } = await running.ended;

    expect({ code, status: result?.status }).toEqual({ code: 1, status: 'cancelled' });
    expect(await containersNamed(host, containerOf(params))).toEqual([]);
    expect(await networksOf(host, containerOf(params))).toEqual([]);
  });

  it('waits its turn when another one is at work, or says who is with --wait 0; a look waits for nobody', async () => {
    const params = host.launchParams(tiny, {
      readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 600 }],
    });
    const first = startRunTask(host, launch(params));
    await first.saw('probing');

    const other = host.launchParams(tiny).identity;
    const remove = { type: 'workload.oci_remove', params: { identity: other, keep_data: false, grace_seconds: 0 } };
    const wrong = { ...remove, params: { ...remove.params, privileged: true } };
    const impatient = await startRunTask(host, remove, ['--wait', '0', '--json']).ended;
    const look = await startRunTask(host, { type: 'workload.oci_runtime_status', params: {} }, ['--wait', '0']).ended;
    const refused = await startRunTask(host, wrong, ['--wait', '0']).ended;
    const patient = startRunTask(host, remove);
    await patient.saw('waiting for node-agent run-task');

    expect(impatient.code).toBe(75);
    expect(JSON.parse(impatient.stdout)).toMatchObject({ failure: { code: 'agent.busy' } });
    expect([look.code, refused.code]).toEqual([0, 3]);
    expect(look.result?.output).toMatchObject({
      resources: { memory_gib: { used: expect.closeTo(params.resources.memory_gib, 2) } },
    });
    first.child.kill('SIGTERM');
    expect((await first.ended).code).toBe(1);
    expect((await patient.ended).code).toBe(0);
  });

  it('goes through the gate of the host where one runs', async () => {
    const socket = `${host.folder}/own-gate.sock`;
    const env = { GPUAAS_AGENT_GATE_SOCKET: socket };
    Object.assign(process.env, env);
    const gate = startNodeAgent(['gate', '--config', host.configFile]);
    try {
      await gate.saw('gate listens');
      const { code } = await startRunTask(host, launch(host.launchParams(tiny, { readiness: readyAtOnce }))).ended;

      expect(code).toBe(0);
    } finally {
      delete process.env['GPUAAS_AGENT_GATE_SOCKET'];
      gate.child.kill('SIGTERM');
      expect((await gate.ended).code).toBe(0);
    }
  });
});

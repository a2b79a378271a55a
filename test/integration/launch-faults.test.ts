/** What can go wrong during a launch, and what must not be left behind: FAULTS 22, 23, 26, 27, 29 on the real engine. */
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { labels } from '../../src/contract/names.ts';
import type { WorkloadOutput } from '../../src/contract/workload-output.ts';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, containersNamed, inspectRaw, networksOf, succeeded } from '../support/looking.ts';
import { endsForItsMemory, type LaunchParams, openTestHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let tiny: string;
const holders: Server[] = [];

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});
afterEach(async () => {
  await host.clear();
  for (const holder of holders.splice(0)) {
    holder.close();
  }
});
afterAll(async () => await host.close());

describe('a container that ends', () => {
  it.each([0, 1, 7])('at once with %i fails the launch with the end of its log (FAULTS 27)', async (code) => {
    const params = host.launchParams(tiny, { command: [`echo the last words >&2; exit ${code}`] });

    const { status, failure, output } = await host.run('workload.oci_launch', params);

    expect({ status, code: failure?.code }).toEqual({ status: 'failed', code: 'container.exited' });
    expect(failure?.detail).toMatchObject({ exit_code: code, excerpt: expect.stringContaining('the last words') });
    expect(output).toMatchObject({ state: 'failed', failure: { code: 'container.exited' } });
    await expectNothingLeft(params);
  });

  it('takes the folders that it made with it', async () => {
    const params = host.launchParams(tiny, {
      command: ['echo half-done > /workspace/file; exit 1'],
      mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
    });

    const { failure, output } = await host.run('workload.oci_launch', params);

    expect(failure?.code).toBe('container.exited');
    expect((output as WorkloadOutput).cleanup?.removed).toContain(`folder ${rootOf(params)}`);
    await expectNothingLeft(params);
  });

  it('while the probe waits fails at once, long before the probe would time out', async () => {
    const port = await freePort();
    const params = host.launchParams(tiny, {
      command: ['sleep 1; exit 3'],
      ports: [{ name: 'web', container_port: 80, host_port: port, protocol: 'http' }],
      readiness: [{ type: 'http', endpoint: 'web', path: '/', timeout_seconds: 110 }],
    });

    const { failure } = await host.run('workload.oci_launch', params);

    expect(failure).toMatchObject({ code: 'container.exited', detail: { exit_code: 3 } });
    await expectNothingLeft(params);
  });

  it('for its memory is container.oom_killed (FAULTS 26)', async () => {
    const params = host.launchParams(tiny, {
      command: [endsForItsMemory],
      readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 60 }],
    });

    const { failure } = await host.run('workload.oci_launch', params);

    expect(failure?.code).toBe('container.oom_killed');
    await expectNothingLeft(params);
  });
});

describe('a port that somebody has', () => {
  it.each(['127.0.0.1', '0.0.0.0'])('on %s is port.conflict, and the holder keeps it (FAULTS 23)', async (address) => {
    const holder = createServer((socket) => socket.end('mine')).listen(0, address);
    holders.push(holder);
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    const params = host.launchParams(tiny, {
      ports: [{ name: 'web', container_port: 80, host_port: port, protocol: 'tcp' }],
    });

    const { failure } = await host.run('workload.oci_launch', params);

    expect(failure).toMatchObject({ code: 'port.conflict', detail: { port } });
    expect(holder.listening).toBe(true);
    await expectNothingLeft(params);
  });

  it('because another workload has it is port.conflict, and that workload stays', async () => {
    const port = await freePort();
    const ports = [{ name: 'web', container_port: 80, host_port: port, protocol: 'tcp' as const }];
    const holder = host.launchParams(tiny, { ports });
    const late = host.launchParams(tiny, { ports });
    succeeded(await host.run('workload.oci_launch', holder));

    const { failure } = await host.run('workload.oci_launch', late);

    expect(failure?.code).toBe('port.conflict');
    expect((await inspectRaw(host, containerOf(holder))).State.Status).toBe('running');
    await expectNothingLeft(late);
  });
});

describe('a workload that never gets ready (G-162)', () => {
  it('is readiness.timed_out with the last answer, and nothing is left', async () => {
    const params = host.launchParams(tiny, {
      command: ['echo here I am; while :; do sleep 1; done'],
      readiness: [{ type: 'exec', command: ['/bin/sh', '-c', 'echo not yet; exit 4'], timeout_seconds: 5 }],
    });

    const { failure } = await host.run('workload.oci_launch', params);

    expect(failure?.code).toBe('readiness.timed_out');
    // The last attempt may have been begun so late that there was no time for its answer.
    expect(failure?.detail['answer']).toMatch(/^(exit code 4|no answer within \d+ ms)$/);
    await expectNothingLeft(params);
  });

  it('within the deadline of the task is task.timed_out, naming the phase', async () => {
    const params = host.launchParams(tiny, {
      readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 60 }],
    });

    // The deadline of the task passes when the test says so.
    const deadline = new AbortController();
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(deadline.signal);
    const running = host.run('workload.oci_launch', params, {
      deadlineSeconds: 77,
      onEvent: ({ type, phase }) => {
        if (type === 'phase.entered' && phase === 'probing') {
          deadline.abort(new DOMException('The deadline is over.', 'TimeoutError'));
        }
      },
    });
    const [asked] = timeout.mock.calls;
    timeout.mockRestore();
    const { failure } = await running;

    expect(asked).toEqual([77_000]);
    expect(failure).toMatchObject({ code: 'task.timed_out', detail: { phase: 'probing' } });
    await expectNothingLeft(params);
  });

  it('and is cancelled meanwhile leaves nothing', async () => {
    const params = host.launchParams(tiny, {
      readiness: [{ type: 'exec', command: ['/bin/false'], timeout_seconds: 60 }],
    });
    const cancel = new AbortController();

    const running = host.run('workload.oci_launch', params, {
      cancel: cancel.signal,
      onEvent: ({ phase, type }) => {
        if (type === 'phase.entered' && phase === 'probing') {
          cancel.abort(new Error('the user changed his mind'));
        }
      },
    });

    expect(await running).toMatchObject({ status: 'cancelled', failure: { code: 'task.cancelled' } });
    await expectNothingLeft(params);
  });
});

describe('data of an earlier launch', () => {
  it('survives a relaunch that fails', async () => {
    const params = host.launchParams(tiny, {
      command: ['exit 1'],
      mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
    });
    const { uid, gid } = host.policy.allocation;
    const root = rootOf(params);
    for (const folder of [
      `${host.policy.allocation.home}/gpuaas`,
      `${host.policy.allocation.home}/gpuaas/workloads`,
      root,
      `${root}/workspace`,
    ]) {
      mkdirSync(folder, { recursive: true });
      chownSync(folder, uid, gid);
    }
    writeFileSync(`${root}/workspace/thesis.txt`, 'years of work');

    const { failure } = await host.run('workload.oci_launch', params);

    expect(failure?.code).toBe('container.exited');
    expect(readFileSync(`${root}/workspace/thesis.txt`, 'utf8')).toBe('years of work');
  });
});

describe('orphans of ours (FAULTS 29)', () => {
  it('left behind by a killed launch, a network and secrets without a container, go with the next remove', async () => {
    const params = host.launchParams(tiny);
    const { app_instance_id, project_id, allocation_id } = params.identity;
    const owner = {
      [labels.instance]: app_instance_id,
      [labels.project]: project_id,
      [labels.allocation]: allocation_id,
    };
    const signal = AbortSignal.timeout(100_000);
    await host.engine.ensureNetwork(containerOf(params), owner, signal);
    await host.engine.putSecrets(app_instance_id, { key: Buffer.from('x') }, signal);

    const output = succeeded(
      await host.run('workload.oci_remove', { identity: params.identity, keep_data: false, grace_seconds: 0 }),
    );

    expect(output.cleanup?.removed).toContain(`network ${containerOf(params)}`);
    expect(existsSync(`${host.policy.secrets_dir}/${app_instance_id}`)).toBe(false);
    await expectNothingLeft(params);
  });
});

describe('something foreign with our name (FAULTS 29)', () => {
  it('is name.conflict for launch, control and remove, and is not touched, even with copied labels', async () => {
    const params = host.launchParams(tiny);
    const name = containerOf(params);
    const genuine = host.launchParams(tiny);
    succeeded(await host.run('workload.oci_launch', genuine));
    const stolen = (await inspectRaw(host, containerOf(genuine))).Config.Labels;
    const foreign = {
      Image: tiny,
      Cmd: ['/bin/sleep', '1000'],
      Labels: { ...stolen, [labels.instance]: params.identity.app_instance_id },
    };
    const made = await engineCall<{ Id: string }>(
      host.engineSocket,
      'POST',
      `/containers/create?name=${name}`,
      foreign,
    );
    await engineCall(host.engineSocket, 'POST', `/containers/${made.body.Id}/start`);

    const results = [
      await host.run('workload.oci_launch', params),
      await host.run('workload.oci_control', { identity: params.identity, action: 'stop', grace_seconds: 0 }),
      await host.run('workload.oci_remove', { identity: params.identity, keep_data: false, grace_seconds: 0 }),
    ];

    expect(results.map(({ failure }) => failure?.code)).toEqual(['name.conflict', 'name.conflict', 'name.conflict']);
    expect((await inspectRaw(host, name)).State.Status).toBe('running');
    expect(await containersNamed(host, name)).toEqual([made.body.Id]);
    await engineCall(host.engineSocket, 'DELETE', `/containers/${made.body.Id}?force=1`);
  });
});

function rootOf({ identity }: LaunchParams): string {
  return `${host.policy.allocation.home}/gpuaas/workloads/${identity.app_instance_id}`;
}

async function expectNothingLeft(params: LaunchParams): Promise<void> {
  expect(await containersNamed(host, containerOf(params))).toEqual([]);
  expect(await networksOf(host, containerOf(params))).toEqual([]);
  expect(existsSync(rootOf(params))).toBe(false);
}

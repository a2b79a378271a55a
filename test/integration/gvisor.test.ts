/** gVisor, for real: an engine of its own that has the runtime, and the files that its sandbox really serves. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import { engineCall } from '../support/engine-call.ts';
import { plan, service, step, words } from '../support/job-plans.ts';
import { containerOf, inspectRaw } from '../support/looking.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { openTestHost, readyAtOnce, type TestHost } from '../support/test-host.ts';
import { expectWholeJobs } from '../support/whole-job.ts';
import { call, openGateGround, until } from './gate-ground.ts';

const sandboxes = { runc: 'runc', gvisor: GVISOR_RUNTIME };
const resources = { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.25 };
const signal = AbortSignal.timeout(280_000);
let dir: string;
let engine: PrivateEngine;
let host: TestHost;
let image: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'gvisor-'));
  engine = await startPrivateEngine(dir, { flags: [await gvisorFlag(dir), '--add-runtime=plain=runc'] });
  host = await openTestHost({ engineSocket: engine.socketPath, policy: { sandboxes } });
  ({ reference: image } = await ensureImage({ socketPath: engine.socketPath, host: host.registryHost }, 'tiny'));
});
afterAll(async () => {
  await host.close();
  await engine.stop();
  rmSync(dir, { recursive: true, force: true });
});

it('a launch that asks for gVisor runs on its kernel, with its own folders and no other', async () => {
  const params = host.launchParams(image, {
    ...{ sandbox: 'gvisor', resources },
    mounts: [
      { name: 'ws', path: '/workspace', mode: 'scratch', read_only: false },
      { name: 'shown', path: '/shown', mode: 'scratch', read_only: true },
    ],
    readiness: readyAtOnce,
  });

  const result = await host.run('workload.oci_launch', params);
  const kernel = await inside(params, 'uname -r');
  const wrote = await inside(params, 'id -u > /workspace/who && cat /workspace/who');
  const refused = await inside(params, 'echo no > /shown/file');
  const { HostConfig } = await inspectRaw(host, containerOf(params));

  expect(result).toMatchObject({ status: 'succeeded', output: { state: 'running' } });
  expect(HostConfig).toMatchObject({ Runtime: GVISOR_RUNTIME, Memory: 2 ** 28, CapDrop: ['ALL'] });
  expect(kernel.tail.trim()).toBe('4.4.0');
  expect([wrote.exitCode, wrote.tail.trim()]).toEqual([0, String(host.policy.allocation.uid)]);
  expect(refused.exitCode).not.toBe(0);
  const folder = join(host.policy.allocation.home, 'gpuaas/workloads', params.identity.app_instance_id);
  expect(readFileSync(join(folder, 'ws/who'), 'utf8').trim()).toBe(String(host.policy.allocation.uid));
  expect(statSync(join(folder, 'ws/who')).uid).toBe(host.policy.allocation.uid);
  expect(existsSync(join(folder, 'shown/file'))).toBe(false);
  expect(host.gateLog.join('')).not.toContain('killed');

  const removal = { identity: params.identity, keep_data: false, grace_seconds: 0 };
  expect((await host.run('workload.oci_remove', removal)).status).toBe('succeeded');
});

it('another runtime that stands for gVisor starts nothing, and is not offered', async () => {
  const other = await openTestHost({ engineSocket: engine.socketPath, policy: { sandboxes: { gvisor: 'plain' } } });
  try {
    const params = other.launchParams(image, { sandbox: 'gvisor', resources, readiness: readyAtOnce });

    const result = await other.run('workload.oci_launch', params);
    const status = await other.run('workload.oci_runtime_status', {});

    expect(result).toMatchObject({ status: 'rejected', failure: { code: 'sandbox.unavailable' } });
    expect(result.failure?.detail).toMatchObject({
      reason: expect.stringContaining('does not say that it is a runsc'),
    });
    expect(status.output).toMatchObject({ ready: false, offers: { sandboxes: [] } });
  } finally {
    await other.close();
  }
});

it('a folder that is swapped between check and start gets the sandbox killed', async () => {
  const ground = await openGateGround({ sandboxes }, engine.socketPath);
  try {
    const limits = { Memory: 2 ** 28, MemorySwap: 2 ** 28, Runtime: GVISOR_RUNTIME };
    const instance = await ground.makeInstance({ host: limits });
    const outside = join(ground.folder, 'outside');
    const folder = join(ground.policy.allocation.home, 'gpuaas/workloads', instance, 'ws');
    mkdirSync(outside);
    ground.recorder.before(/^POST \S+\/start HTTP/, () => {
      renameSync(folder, `${folder}-aside`);
      symlinkSync(outside, folder);
    });

    const { status, json } = await call(ground.gate, 'POST', `/containers/gpuaas-${instance}/start`);

    expect([status, json.code]).toEqual([403, 'mount.refused']);
    expect(json.errors[0]).toMatchObject({ path: '/workspace', code: 'wrong_folder' });
    await until('it is killed', async () => {
      const { body } = await engineCall<{ State: { Status: string } }>(
        ground.engineSocket,
        'GET',
        `/containers/gpuaas-${instance}/json`,
      );
      return body.State.Status === 'exited';
    });
  } finally {
    await ground.close();
  }
});

it('a job that asks for gVisor runs on its kernel, and ends as it should', async () => {
  await expectWholeJobs(host, image, 'gvisor');
});

it('what a job needs is looked for before it, and its services are ready before its step, under gVisor too (C-17, C-35)', async () => {
  const sh = (line: string) => words('/bin/sh', '-c', line);
  const mounts = [{ volume: 'data', path: '/data', read_only: false }];
  const small = { resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.125 }, mounts };
  const results = [{ name: 'said', regex: '(.+)', channels: ['stdout' as const] }];
  const { command: _command, ...bare } = step('check-1');
  const { image: of, env } = bare;
  const base = plan({
    volumes: [{ name: 'data' }],
    preflight: [{ type: 'executable', name: 'sh', image: 'main', work_dir: '/' }],
    checks: [{ ...small, id: 'check-1', image: of, env, command: sh('uname -r'), timeout_seconds: 60 }],
    services: [
      {
        ...service('model'),
        ...small,
        command: sh('sleep 1; touch /tmp/up; cp /tmp/up /data; exec sleep 600'),
        healthcheck: { command: ['/bin/sh', '-c', 'test -e /tmp/up'] },
      },
    ],
    steps: [step('task', { ...small, results, command: sh('ls /data; cat /etc/resolv.conf | grep -c nameserver') })],
  });
  const params = {
    ...base,
    ...{ sandbox: 'gvisor' as const, resources: { gpu_count: 0, cpu_cores: 0.4, memory_gib: 0.25 } },
    identity: { ...base.identity, job_id: 'gvisor-services', allocation_id: host.policy.allocation.id },
    images: base.images.map((each) => ({ ...each, source: { ...each.source, reference: image } })),
  };

  const { failure, output } = await host.run('workload.job_launch', params);

  expect(failure).toBeNull();
  expect((output as JobTaskOutput).report).toMatchObject({
    checks: [
      { id: 'sh', state: 'passed' },
      { id: 'check-1', state: 'passed', output: '4.4.0' },
    ],
    steps: [{ state: 'succeeded', results: { said: ['up', '1'] } }],
  });
  expect(await leftOf(host, 'gvisor-services')).toEqual([]);
});

async function inside(params: { identity: { app_instance_id: string } }, script: string) {
  const name = `gpuaas-${params.identity.app_instance_id}`;
  return await host.engine.exec(name, ['/bin/sh', '-c', script], { signal });
}

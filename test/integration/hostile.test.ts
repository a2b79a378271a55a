/** Hostile images and hostile workloads: the abuse vectors that concern images, and limits that must hold. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { run } from '../../bootstrap/dev/processes.ts';
import type { WorkloadOciRuntimeStatusOutput } from '../../src/contract/workload-oci-runtime-status.ts';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, containersNamed, inspectRaw, succeeded } from '../support/looking.ts';
import { type LaunchParams, openTestHost, readyAtOnce, type TestHost } from '../support/test-host.ts';
import { until } from './gate-ground.ts';

let host: TestHost;
let tiny: string;
let hostile: string;

beforeAll(async () => {
  host = await openTestHost({ policy: { limits: { pids: 64, open_files: 4096 } } });
  tiny = await host.image('tiny');
  hostile = await host.image('hostile');
});
afterAll(async () => await host.close());

describe('an image that brings its own ENV, USER, VOLUME, HEALTHCHECK and setuid files', () => {
  let params: LaunchParams;
  let name: string;

  beforeAll(async () => {
    params = host.launchParams(hostile, { readiness: readyAtOnce });
    name = containerOf(params);
    succeeded(await host.run('workload.oci_launch', params));
  });

  it('has no loader and no device variable inside', async () => {
    const { tail } = await inside(name, 'tr "\\0" "\\n" < /proc/1/environ; env');

    expect(tail).not.toMatch(/^LD_/m);
    expect(tail).not.toMatch(/^NVIDIA_DRIVER/m);
    expect(tail.match(/^NVIDIA_VISIBLE_DEVICES=.*$/gm)).toEqual([
      'NVIDIA_VISIBLE_DEVICES=void',
      'NVIDIA_VISIBLE_DEVICES=void',
    ]);
  });

  it('does not run as its USER and gains nothing from setuid files', async () => {
    const { tail } = await inside(name, 'id -u; /setuid/su root -c id 2>&1; grep CapEff /proc/self/status');

    expect(tail.split('\n')[0]).toBe(String(host.policy.allocation.uid));
    expect(tail).not.toContain('uid=0');
  });

  it('has its HEALTHCHECK switched off', async () => {
    const { Config, State } = await inspectRaw(host, name);

    expect(Config.Healthcheck?.Test).toEqual(['NONE']);
    expect(State).not.toHaveProperty('Health');
    expect((await inside(name, 'test -e /tmp/healthcheck-ran')).exitCode).toBe(1);
  });

  it('leaves no volume behind when it is removed', async () => {
    const volumes = (await inspectRaw(host, name)).Mounts.filter(({ Type }) => Type === 'volume').map(
      ({ Name }) => Name,
    );
    expect(volumes.length).toBeGreaterThan(0);

    succeeded(await host.run('workload.oci_remove', { identity: params.identity, keep_data: false, grace_seconds: 0 }));

    for (const volume of volumes) {
      expect((await engineCall(host.engineSocket, 'GET', `/volumes/${volume}`)).status).toBe(404);
    }
  });
});

describe('a workload that attacks its host', () => {
  let neighbour: LaunchParams;
  let neighbourPid: number;
  const attackers: LaunchParams[] = [];

  beforeAll(async () => {
    neighbour = host.launchParams(tiny, { readiness: readyAtOnce });
    succeeded(await host.run('workload.oci_launch', neighbour));
    neighbourPid = (await inspectRaw(host, containerOf(neighbour))).State.Pid;
  });
  afterEach(async () => {
    for (const { identity } of attackers.splice(0)) {
      succeeded(await host.run('workload.oci_remove', { identity, keep_data: false, grace_seconds: 0 }));
    }
  });

  /** A container that begins its attack when it is released, and whose main process needs nothing to go on. */
  async function launchAttack(attack: string, memory_gib: number): Promise<string> {
    const params = host.launchParams(tiny, {
      command: [`until [ -e /tmp/go ]; do sleep 0.1; done; (${attack}) & exec sleep 100000`],
      resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib },
      readiness: readyAtOnce,
    });
    attackers.push(params);
    succeeded(await host.run('workload.oci_launch', params));
    return containerOf(params);
  }

  async function release(name: string): Promise<void> {
    expect((await inside(name, 'touch /tmp/go')).exitCode).toBe(0);
  }

  async function expectOthersToLive(): Promise<void> {
    expect((await host.run('workload.oci_runtime_status', {})).status).toBe('succeeded');
    expect((await inside(containerOf(neighbour), 'echo alive')).tail).toBe('alive\n');
    expect((await inspectRaw(host, containerOf(neighbour))).State.Pid).toBe(neighbourPid);
  }

  it('by a fork bomb gets no more processes than the policy allows', async () => {
    const name = await launchAttack('f() { sleep 1000 & f & f; }; f', 0.0625);
    const { pids } = host.policy.limits;
    let most = 0;

    await release(name);
    await until('forks fail', async () => {
      const { current = 0, limit } = (await statsOf(name)).pids_stats;
      most = Math.max(most, current);
      expect(limit).toBe(pids);
      expect(current).toBeLessThanOrEqual(pids);
      return most > pids / 4 && (await logOf(name)).includes("can't fork");
    });

    await expectOthersToLive();
  });

  it('by a log flood gets no more of the disk than its log may have', async () => {
    const name = await launchAttack(`yes ${'0123456789'.repeat(10)}`, 0.0625);
    const { LogPath: log } = await inspectWithLog(name);
    const { max_size_mib, max_files } = host.launchParams(tiny).log_limits;
    const begun: number[] = [];
    let largest = 0;

    await release(name);
    await until('the log was begun anew four times', () => {
      const parts = readdirSync(dirname(log))
        .filter((part) => part.startsWith(basename(log)))
        .map((part) => statSync(join(dirname(log), part), { throwIfNoEntry: false }));
      largest = Math.max(
        largest,
        parts.reduce((total, part) => total + (part?.size ?? 0), 0),
      );
      // An inode that was freed is used again at once, so only a change tells of a new file.
      const file = statSync(log, { throwIfNoEntry: false })?.ino;
      if (file !== undefined && file !== begun.at(-1)) {
        begun.push(file);
      }
      return begun.length > 4;
    });

    expect(largest).toBeGreaterThan(max_size_mib * 2 ** 20);
    expect(largest).toBeLessThanOrEqual(max_size_mib * max_files * 2 ** 20 + oneBuffer);
    await expectOthersToLive();
  });

  it('by a filled /dev/shm is told at 64 MiB that there is no space left', async () => {
    const name = await launchAttack('true', 0.25);

    const { exitCode, tail } = await inside(
      name,
      'dd if=/dev/zero of=/dev/shm/x bs=1M count=128 2>&1; wc -c /dev/shm/x',
    );

    expect(exitCode).toBe(0);
    expect(tail).toContain('No space left on device');
    expect(tail).toMatch(/^67108864 \/dev\/shm\/x$/m);
    await expectOthersToLive();
  });

  it('by a memory hog beside its main process loses the hog, and nothing else', async () => {
    const name = await launchAttack('true', 0.0625);
    const { Pid } = (await inspectRaw(host, name)).State;

    const { tail } = await inside(name, '(x=0123456789; while :; do x="$x$x$x$x"; done); echo "it ended with $?"');

    expect(tail).toContain('it ended with 137');
    expect((await inspectRaw(host, name)).State).toMatchObject({ Status: 'running', Pid });
    await expectOthersToLive();
  });

  it('cannot see or signal processes, devices and kernel settings of the host', async () => {
    const script =
      'ls /dev; cat /proc/sysrq-trigger 2>&1; echo x > /proc/sys/kernel/hostname; mknod /tmp/d b 8 0; mount -t tmpfs none /mnt; ls /proc | grep -c "^[0-9]*$"';
    const { tail } = await host.engine.exec(containerOf(neighbour), ['/bin/sh', '-c', `(${script}) 2>&1`], {
      signal: AbortSignal.timeout(60_000),
    });

    expect(tail).not.toMatch(/^(sda|vda|nvme|kvm|mem|nvidia)/m);
    expect(tail).toMatch(/mknod.*(not permitted|denied)/);
    expect(tail).toMatch(/mount.*(not permitted|denied)/);
    expect(Number(tail.trim().split('\n').at(-1))).toBeLessThan(20);
    expect(existsSync('/tmp/d')).toBe(false);
  });
});

describe('a workload that fills the disk', () => {
  let folder: string;
  let small: PrivateEngine;
  let smallHost: TestHost;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gpuaas-fill-'));
    mkdirSync(join(folder, 'e/data'), { recursive: true });
    await run('mount', ['-t', 'tmpfs', '-o', 'size=256m', 'gpuaas-test', join(folder, 'e/data')]);
    small = await startPrivateEngine(join(folder, 'e'));
    const policy = {
      network_pool: '10.224.0.0/24',
      reserves: { cpu_cores: 0, memory_gib: 0.5, disk_gib: 0.1 },
    };
    smallHost = await openTestHost({ engineSocket: small.socketPath, policy });
  });
  afterAll(async () => {
    await smallHost?.close();
    await small?.stop();
    await run('sh', ['-c', 'mountpoint -q "$0" && umount -l "$0" || true', join(folder, 'e/data')]);
    rmSync(folder, { recursive: true, force: true });
  });

  it('is seen in what the host reports, and nothing more is pulled until there is room again', async () => {
    const filler = smallHost.launchParams(tiny, {
      resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.5 },
      readiness: readyAtOnce,
    });
    const cold = smallHost.launchParams(hostile, { readiness: readyAtOnce });
    succeeded(await smallHost.run('workload.oci_launch', filler));
    const before = await diskOf(smallHost);

    const filled = await inside(containerOf(filler), 'dd if=/dev/zero of=/tmp/fill bs=1M count=200', smallHost);
    const full = await diskOf(smallHost);
    const refused = await smallHost.run('workload.oci_launch', cold);
    const left = await containersNamed(smallHost, containerOf(cold));
    const main = (await inspectRaw(smallHost, containerOf(filler))).State.Status;
    await inside(containerOf(filler), 'rm /tmp/fill', smallHost);
    const after = await diskOf(smallHost);

    expect(filled.exitCode).toBe(0);
    expect(before.free).toBeGreaterThan(0.05);
    expect(full.used - before.used).toBeGreaterThanOrEqual(0.19);
    expect(full).toMatchObject({ ready: false, free: 0 });
    expect(refused).toMatchObject({ status: 'failed', failure: { code: 'disk.full' } });
    expect(left).toEqual([]);
    expect(main).toBe('running');
    expect(after).toMatchObject({ ready: true });
    succeeded(await smallHost.run('workload.oci_launch', cold));
  });
});

async function inside(name: string, script: string, on = host) {
  return await on.engine.exec(name, ['/bin/sh', '-c', script], { signal: AbortSignal.timeout(60_000) });
}

async function diskOf(on: TestHost) {
  const { output } = await on.run('workload.oci_runtime_status', {});
  const { ready: isReady, resources } = output as WorkloadOciRuntimeStatusOutput;
  return { ready: isReady, ...resources.disk_gib };
}

/** The engine writes a line whole before it looks at the size. */
const oneBuffer = 64 * 1024;

async function statsOf(name: string) {
  const path = `/containers/${name}/stats?stream=false&one-shot=true`;
  const { body } = await engineCall<{ pids_stats: { current?: number; limit: number } }>(
    host.engineSocket,
    'GET',
    path,
  );
  return body;
}

async function logOf(name: string): Promise<string> {
  const path = `/containers/${name}/logs?stdout=1&stderr=1&tail=50`;
  return (await engineCall<string>(host.engineSocket, 'GET', path)).body;
}

async function inspectWithLog(name: string) {
  return (await engineCall<{ LogPath: string }>(host.engineSocket, 'GET', `/containers/${name}/json`)).body;
}

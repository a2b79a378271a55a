/** Hostile images and hostile workloads: the abuse vectors that concern images, and limits that must hold. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, inspectRaw, succeeded } from '../support/looking.ts';
import { type LaunchParams, openTestHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let tiny: string;
let hostile: string;

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
  hostile = await host.image('hostile');
});
afterAll(async () => await host.close());

const ready = [{ type: 'exec' as const, command: ['/bin/true'], timeout_seconds: 20 }];

describe('an image that brings its own ENV, USER, VOLUME, HEALTHCHECK and setuid files', () => {
  let params: LaunchParams;
  let name: string;

  beforeAll(async () => {
    params = host.launchParams(hostile, { readiness: ready });
    name = containerOf(params);
    succeeded(await host.run('workload.oci_launch', params));
  });

  it('has no loader and no device variable inside', async () => {
    const { tail } = await inside('tr "\\0" "\\n" < /proc/1/environ; env');

    expect(tail).not.toMatch(/^LD_/m);
    expect(tail).not.toMatch(/^NVIDIA_DRIVER/m);
    expect(tail.match(/^NVIDIA_VISIBLE_DEVICES=.*$/gm)).toEqual([
      'NVIDIA_VISIBLE_DEVICES=void',
      'NVIDIA_VISIBLE_DEVICES=void',
    ]);
  });

  it('does not run as its USER and gains nothing from setuid files', async () => {
    const { tail } = await inside('id -u; /setuid/su root -c id 2>&1; grep CapEff /proc/self/status');

    expect(tail.split('\n')[0]).toBe(String(host.policy.allocation.uid));
    expect(tail).not.toContain('uid=0');
  });

  it('has its HEALTHCHECK switched off', async () => {
    const { Config, State } = await inspectRaw(host, name);

    expect(Config.Healthcheck?.Test).toEqual(['NONE']);
    expect(State).not.toHaveProperty('Health');
    expect((await inside('test -e /tmp/healthcheck-ran')).exitCode).toBe(1);
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

  async function inside(script: string) {
    return await host.engine.exec(name, ['/bin/sh', '-c', script], { signal: AbortSignal.timeout(20_000) });
  }
});

describe('a workload that attacks its host', () => {
  let neighbour: LaunchParams;

  beforeAll(async () => {
    neighbour = host.launchParams(tiny, { readiness: ready });
    succeeded(await host.run('workload.oci_launch', neighbour));
  });

  it.each([
    ['a fork bomb', 'f() { f | f & }; f; sleep 20'],
    ['a log flood', 'while :; do echo "0123456789012345678901234567890123456789012345678901234567890123456789"; done'],
    ['a filled /dev/shm', 'dd if=/dev/zero of=/dev/shm/x bs=1M count=4096; sleep 20'],
  ])('by %s stays within its limits; agent and neighbour live', async (_what, attack) => {
    const params = host.launchParams(tiny, { command: [`(${attack}) & while :; do sleep 1; done`], readiness: ready });
    const result = await host.run('workload.oci_launch', params);

    const status = await host.run('workload.oci_runtime_status', {});
    const other = await host.engine.exec(containerOf(neighbour), ['/bin/echo', 'alive'], {
      signal: AbortSignal.timeout(20_000),
    });

    expect(['succeeded', 'failed']).toContain(result.status);
    expect(status.status).toBe('succeeded');
    expect(other.tail).toBe('alive\n');
    succeeded(await host.run('workload.oci_remove', { identity: params.identity, keep_data: false, grace_seconds: 0 }));
  });

  it('cannot see or signal processes, devices and kernel settings of the host', async () => {
    const script =
      'ls /dev; cat /proc/sysrq-trigger 2>&1; echo x > /proc/sys/kernel/hostname; mknod /tmp/d b 8 0; mount -t tmpfs none /mnt; ls /proc | grep -c "^[0-9]*$"';
    const { tail } = await host.engine.exec(containerOf(neighbour), ['/bin/sh', '-c', `(${script}) 2>&1`], {
      signal: AbortSignal.timeout(20_000),
    });

    expect(tail).not.toMatch(/^(sda|vda|nvme|kvm|mem|nvidia)/m);
    expect(tail).toMatch(/mknod.*(not permitted|denied)/);
    expect(tail).toMatch(/mount.*(not permitted|denied)/);
    expect(Number(tail.trim().split('\n').at(-1))).toBeLessThan(20);
    expect(existsSync('/tmp/d')).toBe(false);
  });
});

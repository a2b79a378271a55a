/** `workload.oci_launch` on the real engine: what the container is, seen from inside and from the engine. */
import { statSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import type { WorkloadOutput } from '../../src/contract/workload-output.ts';
import { containerOf, inspectRaw, networksOf, succeeded } from '../support/looking.ts';
import { openTestHost, readyAtOnce, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let tiny: string;

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});
afterAll(async () => await host.close());

describe('a launched workload', () => {
  let output: WorkloadOutput;
  let port: number;
  let name: string;

  beforeAll(async () => {
    port = await freePort();
    const params = host.launchParams(tiny, {
      entrypoint: ['/bin/sh', '-c'],
      command: [
        'mkdir -p /workspace/www && echo hello > /workspace/www/index.html && exec httpd -f -p 8888 -h /workspace/www',
      ],
      env: { HOME: '/workspace', JUPYTER_PREFER_ENV_PATH: '0', GREETING: 'two words $HOME `id`' },
      resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.125, shm_gib: 0.0625 },
      mounts: [
        { name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false },
        { name: 'shared', path: '/mnt/shared', mode: 'project_storage', read_only: true },
      ],
      ports: [{ name: 'web', container_port: 8888, host_port: port, protocol: 'http' }],
      readiness: [{ type: 'http', endpoint: 'web', path: '/', timeout_seconds: 60 }],
    });
    output = succeeded(await host.run('workload.oci_launch', params));
    name = containerOf(params);
  });

  it('is reported with state, endpoint, references and its own facts (G-124 … G-128)', () => {
    expect(output).toMatchObject({
      state: 'running',
      endpoints: [
        {
          name: 'web',
          protocol: 'http',
          host: '127.0.0.1',
          port,
          url: `http://127.0.0.1:${port}/`,
          exposure_mode: 'private',
        },
      ],
      logs: [{ name: 'container' }],
      metrics: [{ name: 'container' }],
      failure: null,
      cleanup: null,
      topology: null,
      adapter: {
        kind: 'oci_container',
        container_name: name,
        container_state: 'running',
        oom_killed: false,
        adopted: false,
      },
    });
    expect(output.adapter.image_digest).toBe(tiny.split('@')[1]);
  });

  it('went through its phases in order', () => {
    const phases = output.events.filter(({ type }) => type === 'phase.entered').map(({ phase }) => phase);

    expect(phases).toEqual(['pulling', 'creating', 'starting', 'probing', 'running']);
  });

  it('has its CPU, memory and process limits at the engine (G-171)', async () => {
    const { HostConfig } = await inspectRaw(host, name);

    expect(HostConfig).toMatchObject({
      ...{ NanoCpus: 5e8, Memory: 2 ** 27, MemorySwap: 2 ** 27, PidsLimit: 512, ShmSize: 2 ** 26, Init: true },
      ...{ Privileged: false, CapAdd: null, CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'], Devices: null },
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
    });
  });

  it('feels its limits inside: memory, processes, shared memory', async () => {
    const show =
      'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; df -k /dev/shm | tail -1';
    const { tail } = await inside(show);

    expect(tail).toMatch(new RegExp(`^${2 ** 27}$`, 'm'));
    expect(tail).toMatch(/^512$/m);
    expect(tail).toMatch(/ 65536 /);
  });

  it('has no capability at all and can gain none (G-216)', async () => {
    const { tail } = await inside('grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status');

    expect(tail.match(/^Cap(Inh|Prm|Eff|Bnd|Amb):\t0000000000000000$/gm)).toHaveLength(5);
    expect(tail).toMatch(/^NoNewPrivs:\t1$/m);
    expect(tail).toMatch(/^Seccomp:\t2$/m);
  });

  it('runs as the user of the allocation and in no other group', async () => {
    const { uid, gid } = host.policy.allocation;

    const { tail } = await inside('id -u; id -g; id -G');

    expect(tail.split('\n').slice(0, 3)).toEqual([String(uid), String(gid), String(gid)]);
  });

  it('has exactly the environment of the task, with values as they were (G-74, G-75, G-79)', async () => {
    const { Config } = await inspectRaw(host, name);

    expect(Config.Env).toEqual(
      expect.arrayContaining([
        'HOME=/workspace',
        'JUPYTER_PREFER_ENV_PATH=0',
        'GREETING=two words $HOME `id`',
        'NVIDIA_VISIBLE_DEVICES=void',
      ]),
    );
  });

  it('answers on 127.0.0.1 and on no other address of the host (G-170, G-208)', async () => {
    const { NetworkSettings } = await inspectRaw(host, name);
    const others = Object.values(networkInterfaces())
      .flat()
      .filter((one) => one?.family === 'IPv4' && !one.internal);

    expect(NetworkSettings.Ports['8888/tcp']).toEqual([{ HostIp: '127.0.0.1', HostPort: String(port) }]);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello\n');
    expect(others.length).toBeGreaterThan(0);
    for (const other of others) {
      expect(await connects(other?.address ?? '', port)).toBe(false);
    }
  });

  it('keeps its files under the home of the allocation user, owned by that user (G-70, G-159)', async () => {
    const { uid, home } = host.policy.allocation;
    const folder = `${home}/gpuaas/workloads/${name.slice('gpuaas-'.length)}/workspace`;

    expect(statSync(folder).uid).toBe(uid);
    expect(statSync(`${folder}/www/index.html`).uid).toBe(uid);
    expect((await inspectRaw(host, name)).Mounts).toContainEqual(
      expect.objectContaining({ Type: 'bind', Source: folder, Destination: '/workspace', RW: true }),
    );
  });

  it('cannot write to what is mounted read-only', async () => {
    const { exitCode, tail } = await inside('echo x > /mnt/shared/x');

    expect(exitCode).not.toBe(0);
    expect(tail).toContain('Read-only file system');
  });

  it('has a network of its own, a /28 from the pool', async () => {
    const [network] = await networksOf(host, name);

    expect(network?.IPAM.Config[0]?.Subnet).toMatch(/^10\.213\.\d+\.\d+\/28$/);
  });

  async function inside(script: string) {
    return await host.engine.exec(name, ['/bin/sh', '-c', script], { signal: AbortSignal.timeout(60_000) });
  }
});

describe('an image of this host, by its id', () => {
  it('runs if the operator listed it with this provenance, and is refused if not', async () => {
    const id = (await host.engine.image(tiny, AbortSignal.timeout(60_000)))?.id ?? '';
    const provenance = { source: 'import' as const, digest: `sha256:${'1'.repeat(64)}` };
    const other = await openTestHost({ policy: { local_images: [{ image_id: id, provenance }] } });
    const params = other.launchParams(tiny, {
      image: { kind: 'local', image_id: id, provenance },
      readiness: readyAtOnce,
    });
    try {
      const listed = succeeded(await other.run('workload.oci_launch', params));
      const { identity } = host.launchParams(tiny);
      const unlisted = await host.run('workload.oci_launch', { ...params, identity });
      const image = { kind: 'local' as const, image_id: id, provenance: { ...provenance, source: 'build' as const } };
      const alleged = await other.run('workload.oci_launch', { ...params, image });

      expect(listed.adapter.image_id).toBe(id);
      expect(unlisted).toMatchObject({ status: 'rejected', failure: { code: 'policy.refused' } });
      expect(alleged).toMatchObject({ status: 'rejected', failure: { code: 'policy.refused' } });
    } finally {
      await other.close();
    }
  });
});

describe('a refused launch', () => {
  it.each([
    [
      'a tag instead of a digest (G-157, G-211)',
      { image: withReference('127.0.0.1:5000/gpuaas-dev/tiny:latest') },
      'image.not_pinned',
    ],
    [
      'a registry that is not allowed (G-212)',
      { image: withReference(`reg.evil/tiny@sha256:${'0'.repeat(64)}`) },
      'image.registry_denied',
    ],
    [
      'a GPU, as long as there is no ledger',
      { resources: { gpu_count: 1, cpu_cores: 0.2, memory_gib: 0.1 } },
      'gpu.none_free',
    ],
    [
      'more memory than the host has',
      { resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 4096 } },
      'resources.exceeded',
    ],
    [
      'more CPU than the host has',
      { resources: { gpu_count: 0, cpu_cores: 512, memory_gib: 0.1 } },
      'resources.exceeded',
    ],
    [
      'a mount over a system path',
      { mounts: [{ name: 'a', path: '/etc', mode: 'scratch' as const, read_only: false }] },
      'mount.refused',
    ],
    ['a loader variable', { env: { LD_PRELOAD: '/x.so' } }, 'policy.refused'],
    ['a sandbox that is not there (never another one instead)', { sandbox: 'gvisor' as const }, 'sandbox.unavailable'],
    ['a package list with an option (G-173)', { python_packages: ['--index-url=http://evil'] }, 'packages.invalid'],
  ])('for %s leaves nothing behind', async (_what, over, code) => {
    const params = host.launchParams(tiny, over);

    const result = await host.run('workload.oci_launch', params);

    expect(result.failure?.code).toBe(code);
    expect(['rejected', 'failed']).toContain(result.status);
    expect(await networksOf(host, containerOf(params))).toEqual([]);
    await expect(inspectRaw(host, containerOf(params))).rejects.toThrow('404');
  });

  it('says which fields are wrong, all at once', async () => {
    const params = host.launchParams(tiny, { env: { LD_PRELOAD: 'x', NVIDIA_VISIBLE_DEVICES: 'all' } });

    const { failure } = await host.run('workload.oci_launch', params);

    expect(failure?.detail['errors']).toEqual([
      expect.objectContaining({ path: '/params/env/LD_PRELOAD' }),
      expect.objectContaining({ path: '/params/env/NVIDIA_VISIBLE_DEVICES' }),
    ]);
  });
});

function withReference(reference: string) {
  return { kind: 'registry' as const, reference, media_type: 'application/vnd.oci.image.manifest.v1+json' as const };
}

async function connects(address: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: address, port, timeout: 2000 });
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  socket.once('timeout', () => resolve(false));
  const connected = await promise;
  socket.destroy();
  return connected;
}

import { describe, expect, it } from 'vitest';
import { renderContainer } from '../../../src/policy/render-container.ts';
import { digest, image, imageId, inputOf, params, reference, refusalOf, renderInput } from './samples.ts';

const local = { kind: 'local', image_id: imageId, provenance: { source: 'build', digest } } as const;

describe('renderContainer', () => {
  it('renders a launch to the last field', () => {
    const { name, request, spec } = renderContainer(renderInput());

    expect(name).toBe('gpuaas-inst-1');
    expect(request).toEqual({
      Image: reference,
      User: '1001:1002',
      Env: [
        'API_KEY=opened-canary-value',
        'HOME=/workspace',
        'JUPYTER_PREFER_ENV_PATH=0',
        'PYTHONNOUSERSITE=1',
        'LD_PRELOAD',
        'NVIDIA_REQUIRE_CUDA',
        'NVIDIA_VISIBLE_DEVICES=void',
      ],
      Cmd: ['jupyter-lab', '--ip=0.0.0.0'],
      Entrypoint: ['/usr/bin/env'],
      Labels: {
        'gpuaas.instance': 'inst-1',
        'gpuaas.project': 'project-1',
        'gpuaas.allocation': 'alloc-1',
        'gpuaas.task': 'task-1',
        'gpuaas.fencing': '7',
        'gpuaas.endpoints': 'web:http:18888,metrics:tcp:19000',
        'gpuaas.restart': 'on_failure:3',
        'gpuaas.readiness':
          '[{"endpoint":"web","path":"/api/status","timeout_seconds":60,"type":"http"},{"endpoint":"metrics","timeout_seconds":60,"type":"tcp"}]',
        'gpuaas.spec': spec,
      },
      ExposedPorts: { '8888/tcp': {}, '9000/tcp': {} },
      Healthcheck: { Test: ['NONE'] },
      HostConfig: {
        Mounts: [
          bind('/home/tenant/gpuaas/workloads/inst-1/workspace', '/workspace', false),
          bind('/home/tenant/gpuaas/projects/project-1/models', '/mnt/models', true),
          bind('/run/gpuaas-gate/secrets/inst-1', '/run/secrets', true),
        ],
        PortBindings: {
          '8888/tcp': [{ HostIp: '127.0.0.1', HostPort: '18888' }],
          '9000/tcp': [{ HostIp: '127.0.0.1', HostPort: '19000' }],
        },
        NetworkMode: 'gpuaas-inst-1',
        NanoCpus: 1_500_000_000,
        Memory: 2 * 2 ** 30,
        MemorySwap: 2 * 2 ** 30,
        PidsLimit: 4096,
        ShmSize: 2 ** 28,
        Ulimits: [
          { Name: 'nofile', Soft: 65536, Hard: 65536 },
          { Name: 'core', Soft: 0, Hard: 0 },
        ],
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        Init: true,
        Privileged: false,
        IpcMode: 'private',
        CgroupnsMode: 'private',
        Runtime: 'runc',
        RestartPolicy: { Name: 'no' },
        LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
      },
    });
  });

  it('renders only what a small launch asks for', () => {
    const { command: _c, entrypoint: _e, sealed_env: _s, sealed_files: _f, ...small } = params;
    const launch = { ...small, mounts: [], ports: [], readiness: [], env: {} };

    const { request } = renderContainer(inputOf(launch, { ...image, env: [] }));

    expect(request.Env).toEqual(['PYTHONNOUSERSITE=1', 'NVIDIA_VISIBLE_DEVICES=void']);
    expect(request).not.toHaveProperty('Cmd');
    expect(request).not.toHaveProperty('Entrypoint');
    expect(request.HostConfig).toMatchObject({ Mounts: [], PortBindings: {} });
    expect(request.Labels['gpuaas.endpoints']).toBe('');
  });

  it.each([
    [0.1, 0.0625, 100_000_000, 67_108_864],
    [0.3, 0.1, 300_000_000, 107_374_182],
    [1, 1, 1_000_000_000, 1_073_741_824],
    [64, 512.5, 64_000_000_000, 550_292_684_800],
  ])('bounds %d cores and %d GiB (G-171)', (cores, gib, nanoCpus, memory) => {
    const { HostConfig } = renderContainer(
      renderInput({ resources: { gpu_count: 0, cpu_cores: cores, memory_gib: gib } }),
    ).request;

    expect(HostConfig).toMatchObject({ NanoCpus: nanoCpus, Memory: memory, MemorySwap: memory, ShmSize: 2 ** 26 });
  });

  it('publishes on the loopback address and nowhere else (G-170, G-208)', () => {
    const { HostConfig } = renderContainer(renderInput()).request;

    expect(Object.values(HostConfig.PortBindings).flatMap((list) => list.map(({ HostIp }) => HostIp))).toEqual([
      ...['127.0.0.1', '127.0.0.1'],
    ]);
  });

  it('runs the sandbox that was asked for', () => {
    expect(renderContainer(renderInput({ sandbox: 'gvisor' })).request.HostConfig.Runtime).toBe('runsc');
  });

  it("keeps the image's health check only where readiness waits for it", () => {
    const readiness = [{ type: 'container_health', timeout_seconds: 5 }] as const;

    expect(renderContainer(renderInput({ readiness: [...readiness] })).request).not.toHaveProperty('Healthcheck');
    expect(
      refusalOf(() =>
        renderContainer(renderInput({ readiness: [...readiness] }, { image: { ...image, hasHealthcheck: false } })),
      ),
    ).toMatchObject({ code: 'policy.refused', paths: ['/readiness/0'] });
  });

  it('runs a listed local image by its id', () => {
    expect(renderContainer(renderInput({ image: local }, { image: { ...image, repoDigests: [] } })).request.Image).toBe(
      imageId,
    );
  });

  it.each([
    [
      'a registry image under another digest',
      params.image,
      { repoDigests: [`127.0.0.1:5000/curated/runtime-cpu@sha256:${'0'.repeat(64)}`] },
    ],
    [
      'a registry image under another repository',
      params.image,
      { repoDigests: [`127.0.0.1:5000/curated/x@${digest}`] },
    ],
    ['a registry image without any digest', params.image, { repoDigests: [] }],
    ['a local image of another id', local, { id: digest }],
  ])('refuses %s', (_what, source, facts) => {
    const act = () => renderContainer(renderInput({ image: source }, { image: { ...image, ...facts } }));

    expect(refusalOf(act).code).toBe('image.digest_mismatch');
  });

  it.each([
    ['a NUL character in its environment', { env: ['A=1\0LD_PRELOAD=/evil.so'] }],
    ['a volume over /dev', { volumes: ['/dev'] }],
    ['a volume inside a mount', { volumes: ['/workspace/sub'] }],
    ['a start inside a mount', { workingDir: '/workspace/sub' }],
    ['a start inside the secret files', { workingDir: '/run/secrets/x' }],
    ['a start in an open file of the runtime', { workingDir: '/proc/self/fd/8' }],
    ['a start in /sys', { workingDir: '/sys/kernel' }],
    ['a volume inside the secret files', { volumes: ['/run/secrets/x'] }],
  ])('refuses an image with %s', (_what, facts) => {
    const refused = refusalOf(() => renderContainer(renderInput({}, { image: { ...image, ...facts } })));

    expect(refused).toMatchObject({ code: 'policy.refused', paths: ['/image'] });
  });

  it('refuses an image with more loader variables than a request can remove', () => {
    const own = renderContainer(renderInput({}, { image: { ...image, env: [] } })).request.Env.length;
    const withLoaders = (count: number) => {
      const env = Array.from({ length: count }, (_, index) => `LD_${index}=x`);
      return () => renderContainer(renderInput({}, { image: { ...image, env } }));
    };

    expect(withLoaders(1024 - own)().request.Env).toHaveLength(1024);
    expect(refusalOf(withLoaders(1025 - own))).toMatchObject({ code: 'policy.refused', paths: ['/env'] });
  });

  it.each([
    ['a NUL character', 'canary\0LD_PRELOAD=/evil.so'],
    ['too much text', 'canary'.repeat(20_000)],
  ])('refuses an opened value with %s and does not repeat it', (_what, value) => {
    const refused = refusalOf(() => renderContainer(renderInput({}, { sealedEnv: { API_KEY: value } })));

    expect(refused).toMatchObject({ code: 'policy.refused', paths: ['/sealed_env/API_KEY'] });
    expect(JSON.stringify(refused)).not.toContain('canary');
  });

  it('takes opened values only under the names that were sealed', () => {
    expect(() => renderContainer(renderInput({}, { sealedEnv: { LD_PRELOAD: 'x' } }))).toThrow();
    expect(() => renderContainer(renderInput({}, { sealedEnv: {} }))).toThrow();
  });

  it('checks the params once more', () => {
    expect(refusalOf(() => renderContainer(renderInput({ env: { LD_PRELOAD: 'x' } }))).code).toBe('policy.refused');
  });
});

function bind(source: string, target: string, readOnly: boolean) {
  return {
    ...{ Type: 'bind', Source: source, Target: target, ReadOnly: readOnly },
    BindOptions: { Propagation: 'rprivate' },
  };
}

import { describe, expect, it } from 'vitest';
import { checkContainerRequest } from '../../../src/policy/check-container.ts';
import { renderJobContainer } from '../../../src/policy/render-job-container.ts';
import { jobInput, part } from './job-samples.ts';
import { image, policy, reference, refusalOf } from './samples.ts';

describe('renderJobContainer', () => {
  it('renders a part of a job to the last field', () => {
    const { name, request, spec } = renderJobContainer(jobInput());

    expect(name).toBe('gpuaas-job-1.train');
    expect(request).toEqual({
      Image: reference,
      User: '',
      Env: [...['EPOCHS=3', 'HF_HOME=/models', 'LD_PRELOAD', 'NVIDIA_REQUIRE_CUDA'], 'NVIDIA_VISIBLE_DEVICES=void'],
      Cmd: ['echo done'],
      Entrypoint: ['/bin/sh', '-c'],
      WorkingDir: '/data/run',
      Labels: {
        'gpuaas.kind': 'job',
        'gpuaas.instance': 'job-1',
        'gpuaas.project': 'project-1',
        'gpuaas.allocation': 'alloc-1',
        'gpuaas.task': 'task-1',
        'gpuaas.service': 'train',
        'gpuaas.fencing': '7',
        'gpuaas.endpoints': 'web:http:28080',
        'gpuaas.restart': 'on_failure:2',
        'gpuaas.aliases': 'trainer,trainer.local',
        'gpuaas.spec': spec,
      },
      ExposedPorts: { '8080/tcp': {} },
      Healthcheck: { Test: ['NONE'] },
      HostConfig: {
        Mounts: [
          { Type: 'volume', Source: 'gpuaas-job-1.data', Target: '/data', ReadOnly: false },
          { Type: 'volume', Source: 'gpuaas-job-1.shared', Target: '/root/.cache', ReadOnly: true },
          {
            ...{ Type: 'bind', Source: '/var/lib/gpuaas-inputs/jobs/job-1/model', Target: '/models', ReadOnly: true },
            BindOptions: { Propagation: 'rprivate' },
          },
        ],
        PortBindings: { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '28080' }] },
        NetworkMode: 'gpuaas-job-1',
        NanoCpus: 1_500_000_000,
        Memory: 2 * 2 ** 30,
        MemorySwap: 2 * 2 ** 30,
        PidsLimit: 4096,
        ShmSize: 2 ** 28,
        Ulimits: [
          { Name: 'nofile', Soft: 65536, Hard: 65536 },
          { Name: 'core', Soft: 0, Hard: 0 },
        ],
        CapDrop: ['MKNOD', 'NET_RAW', 'SETFCAP', 'SYS_CHROOT'],
        SecurityOpt: ['no-new-privileges'],
        ...{ Init: true, Privileged: false, IpcMode: 'private', CgroupnsMode: 'private', Runtime: 'runc' },
        RestartPolicy: { Name: 'no' },
        LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
      },
    });
  });

  it('takes what is empty for what the image says', () => {
    const { request } = renderJobContainer(jobInput({ command: [], entrypoint: [], work_dir: undefined }));

    expect(Object.keys(request)).not.toEqual(expect.arrayContaining(['Cmd']));
    expect(request).not.toHaveProperty('Entrypoint');
    expect(request).not.toHaveProperty('WorkingDir');
  });

  it('closes the root and leaves the network out where the job says so', () => {
    const alone = { aliases: [], ports: [] };
    const { request } = renderJobContainer(jobInput(alone, { network: 'none', read_only_root: true }));

    expect(request.HostConfig).toMatchObject({ NetworkMode: 'none', ReadonlyRootfs: true, PortBindings: {} });
  });

  it('gives the cards that it was given', () => {
    const cards = { uuids: ['GPU-1'], by: 'nvidia_ids', devices: [], groups: [] } as const;
    const { request } = renderJobContainer(jobInput({ resources: { ...part.resources, gpu_count: 1 } }, { cards }));

    expect(request.Labels['gpuaas.gpus']).toBe('GPU-1');
    expect(request.HostConfig.DeviceRequests?.[0]?.DeviceIDs).toEqual(['GPU-1']);
    expect(request.Env).not.toContain('NVIDIA_VISIBLE_DEVICES=void');
  });

  it('has a spec that neither task nor fencing changes, and everything else does', () => {
    const specOf = (...changes: Parameters<typeof jobInput>) => renderJobContainer(jobInput(...changes)).spec;

    expect(specOf({}, { taskId: 'task-2', fencing: 8 })).toBe(specOf());
    expect(specOf({ aliases: [] })).not.toBe(specOf());
    expect(specOf({ env: {} })).not.toBe(specOf());
    expect(specOf({}, { read_only_root: true })).not.toBe(specOf());
  });

  it.each<[string, Parameters<typeof jobInput>, string, string[]]>([
    [
      'another allocation',
      [{}, { identity: { ...jobInput().identity, allocation_id: 'x' } }],
      'task.untrusted',
      ['/identity/allocation_id'],
    ],
    ['a loader variable', [{ env: { LD_PRELOAD: '/x.so' } }], 'policy.refused', ['/env/LD_PRELOAD']],
    [
      'a device variable',
      [{ env: { NVIDIA_VISIBLE_DEVICES: 'all' } }],
      'policy.refused',
      ['/env/NVIDIA_VISIBLE_DEVICES'],
    ],
    [
      'an image that starts where the kernel shows itself',
      [{}, { image: { ...image, volumes: [], workingDir: '/proc/self/fd/8' } }],
      'policy.refused',
      ['/image'],
    ],
    [
      'an image with a volume inside one of the job',
      [{}, { image: { ...image, volumes: ['/data/inner'] } }],
      'policy.refused',
      ['/image'],
    ],
    [
      'a volume over programs',
      [{ mounts: [{ volume: 'v', path: '/usr/bin', read_only: false, from: 'volume' }] }],
      'mount.refused',
      ['/mounts/0/path'],
    ],
    [
      'a volume over configuration',
      [{ mounts: [{ volume: 'v', path: '/etc/x', read_only: false, from: 'volume' }] }],
      'mount.refused',
      ['/mounts/0/path'],
    ],
    [
      'a volume in another',
      [{ mounts: [...part.mounts, { volume: 'v', path: '/data/x', read_only: false, from: 'volume' }] }],
      'mount.refused',
      ['/mounts/3/path'],
    ],
    [
      'a path that climbs',
      [{ mounts: [{ volume: 'v', path: '/data/../etc', read_only: false, from: 'volume' }] }],
      'mount.refused',
      ['/mounts/0/path'],
    ],
    [
      'inputs that may be written',
      [{ mounts: [{ volume: 'm', path: '/m', read_only: false, from: 'inputs' }] }],
      'task.invalid',
      ['/mounts/0/read_only'],
    ],
    [
      'a registry that is not allowed',
      [{}, { reference: `evil.example/x@${reference.split('@')[1]}` }],
      'image.registry_denied',
      ['/image'],
    ],
    ['a tag', [{}, { reference: '127.0.0.1:5000/curated/runtime-cpu:latest' }], 'image.not_pinned', ['/image']],
    ['a relative folder', [{ work_dir: 'data' }], 'task.invalid', ['/work_dir']],
    ['a folder of the kernel', [{ work_dir: '/sys/fs' }], 'task.invalid', ['/work_dir']],
    ['no program', [{ entrypoint: [''] }], 'task.invalid', ['/entrypoint/0']],
    ['a name twice', [{ aliases: ['a', 'a'] }], 'task.invalid', ['/aliases/1']],
    ['a port without a network', [{ aliases: [] }, { network: 'none' }], 'task.invalid', ['/ports']],
    [
      'a sandbox that is not there',
      [{}, { policy: { ...policy, sandboxes: {} } }],
      'sandbox.unavailable',
      ['/sandbox'],
    ],
  ])('refuses %s', (_what, input, code, paths) => {
    expect(refusalOf(() => renderJobContainer(jobInput(...input)))).toMatchObject({ code, paths });
  });

  it('refuses an image that is not the one the plan names', () => {
    const other = { ...image, volumes: [], repoDigests: [`127.0.0.1:5000/curated/x@sha256:${'f'.repeat(64)}`] };

    expect(refusalOf(() => renderJobContainer(jobInput({}, { image: other }))).code).toBe('image.digest_mismatch');
  });

  it.each<[string, Parameters<typeof jobInput>]>([
    ['as the sample', []],
    ['without anything', [{ command: [], entrypoint: [], mounts: [], ports: [], aliases: [], env: {} }]],
    [
      'alone',
      [
        { aliases: [], ports: [] },
        { network: 'none', read_only_root: true },
      ],
    ],
    [
      'where authors keep things',
      [
        {
          mounts: ['/root/.ollama/models', '/opt/venv', '/usr/src/app', '/usr/share/nginx/html', '/workspace'].map(
            (path, index) => ({ volume: `v${index}`, path, read_only: false, from: 'volume' }),
          ),
        },
      ],
    ],
  ])('renders what the gate lets through, %s', (_how, input) => {
    const { name, request } = renderJobContainer(jobInput(...input));
    const facts = { ...image, volumes: ['/var/cache'] };

    expect(checkContainerRequest({ name, request, policy, image: facts })).toEqual([]);
  });
});

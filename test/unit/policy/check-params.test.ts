import { describe, expect, it } from 'vitest';
import { judge } from '../../../src/contract/validate.ts';
import { WorkloadOciLaunchParams } from '../../../src/contract/workload-oci-launch.ts';
import { checkParams } from '../../../src/policy/render-container.ts';
import { digest, imageId, params, policy, refusalOf } from './samples.ts';

const jwe = params.sealed_env?.['API_KEY'] ?? '';
const web = { name: 'web', container_port: 8888, host_port: 18888, protocol: 'http' } as const;
const http = { type: 'http', endpoint: 'web', path: '/', timeout_seconds: 5 } as const;
const local = { kind: 'local', image_id: imageId, provenance: { source: 'build', digest } } as const;
const mount = { name: 'a', path: '/a', mode: 'scratch', read_only: false } as const;

describe('checkParams', () => {
  it('accepts a whole launch', () => {
    expect(judge(WorkloadOciLaunchParams, params)).toEqual({ ok: true, value: params });
    expect(() => checkParams(params, policy)).not.toThrow();
  });

  const { resources, identity } = params;
  it.each<[what: string, code: string, path: string, changes: Partial<WorkloadOciLaunchParams>]>([
    [
      'a bearer that is not sealed',
      'task.invalid',
      '/readiness/0/bearer_env',
      { ports: [web], readiness: [{ ...http, bearer_env: 'OTHER' }] },
    ],
    ['a loader variable', 'policy.refused', '/env/LD_PRELOAD', { env: { LD_PRELOAD: '/x' } }],
    ['a device variable', 'policy.refused', '/env/NVIDIA_VISIBLE_DEVICES', { env: { NVIDIA_VISIBLE_DEVICES: 'all' } }],
    ['a sealed loader variable', 'policy.refused', '/sealed_env/LD_AUDIT', { sealed_env: { LD_AUDIT: jwe } }],
    [
      'a sealed reserved variable',
      'policy.refused',
      '/sealed_env/PYTHONNOUSERSITE',
      { sealed_env: { PYTHONNOUSERSITE: jwe } },
    ],
    ['a local image nobody listed', 'policy.refused', '/image/image_id', { image: { ...local, image_id: digest } }],
    [
      'another source of a local image',
      'policy.refused',
      '/image/provenance/source',
      { image: { ...local, provenance: { source: 'import', digest } } },
    ],
    [
      'another origin of a local image',
      'policy.refused',
      '/image/provenance/digest',
      { image: { ...local, provenance: { source: 'build', digest: imageId } } },
    ],
    ['a tag (G-157)', 'image.not_pinned', '/image/reference', imageOf('127.0.0.1:5000/curated/x:latest')],
    ['another registry', 'image.registry_denied', '/image/reference', imageOf(`evil.example/curated/x@${digest}`)],
    [
      'another repository',
      'image.registry_denied',
      '/image/reference',
      imageOf(`127.0.0.1:5000/curated-evil@${digest}`),
    ],
    ['a mount over /etc', 'mount.refused', '/mounts/0/path', { mounts: [{ ...mount, path: '/etc' }] }],
    ['a mount over the secret files', 'mount.refused', '/mounts/0/path', { mounts: [{ ...mount, path: '/run' }] }],
    ['a climbing mount', 'mount.refused', '/mounts/0/path', { mounts: [{ ...mount, path: '/a/../etc' }] }],
    ['a package that is an option (G-173)', 'packages.invalid', '/python_packages/0', { python_packages: ['-r'] }],
    ['a port name given twice', 'task.invalid', '/ports/1/name', twoPorts({ name: 'web' })],
    ['a container port given twice', 'task.invalid', '/ports/1/container_port', twoPorts({ container_port: 8888 })],
    ['a host port given twice', 'task.invalid', '/ports/1/host_port', twoPorts({ host_port: 18888 })],
    [
      'readiness of an undeclared endpoint',
      'task.invalid',
      '/readiness/0/endpoint',
      { ports: [web], readiness: [{ ...http, endpoint: 'other' }] },
    ],
    [
      'http readiness of a tcp endpoint',
      'task.invalid',
      '/readiness/0/type',
      { ports: [{ ...web, protocol: 'tcp' }], readiness: [http] },
    ],
    [
      'a readiness path that names another host',
      'task.invalid',
      '/readiness/0/path',
      { ports: [web], readiness: [{ ...http, path: '//evil.example/' }] },
    ],
    [
      'a readiness path with a backslash',
      'task.invalid',
      '/readiness/0/path',
      { ports: [web], readiness: [{ ...http, path: '/\\evil.example/' }] },
    ],
    ['a variable given openly and sealed', 'task.invalid', '/sealed_env/HOME', { sealed_env: { HOME: jwe } }],
    [
      'more shared memory than memory',
      'task.invalid',
      '/resources/shm_gib',
      { resources: { ...resources, shm_gib: 3 } },
    ],
    ['an entrypoint without a program', 'task.invalid', '/entrypoint/0', { entrypoint: [''] }],
    [
      'cards in a sandbox that has none here',
      'sandbox.no_cards',
      '/sandbox',
      { sandbox: 'gvisor', resources: { ...resources, gpu_count: 1 } },
    ],
    [
      'another allocation',
      'task.untrusted',
      '/identity/allocation_id',
      { identity: { ...identity, allocation_id: 'other' }, env: { LD_PRELOAD: 'x' } },
    ],
  ])('refuses %s', (_what, code, path, changes) => {
    const refused = refusalOf(() => checkParams({ ...params, ports: [], readiness: [], ...changes }, policy));

    expect(refused).toMatchObject({ code, paths: [path] });
    expect(refused.message).toContain(path);
  });

  it('refuses an empty command only where the engine would run the one of the image instead', () => {
    const { entrypoint: _gone, ...without } = params;

    expect(refusalOf(() => checkParams({ ...without, command: [] }, policy)).paths).toEqual(['/command']);
    expect(() => checkParams({ ...params, command: [] }, policy)).not.toThrow();
  });

  it('refuses a sandbox that the host does not have, and never takes another', () => {
    const refused = refusalOf(() =>
      checkParams({ ...params, sandbox: 'gvisor' }, { ...policy, sandboxes: { runc: 'runc' } }),
    );

    expect(refused).toMatchObject({ code: 'sandbox.unavailable', paths: ['/sandbox'] });
  });

  it('lets gVisor have cards where the operator says so, and tells what he would have to set where not', () => {
    const asked = { ...params, sandbox: 'gvisor' as const, resources: { ...params.resources, gpu_count: 1 } };

    expect(() => checkParams(asked, { ...policy, gvisor_cards: true })).not.toThrow();
    for (const gvisor_cards of [undefined, false]) {
      const refused = refusalOf(() =>
        checkParams(asked, { ...policy, ...(gvisor_cards === false && { gvisor_cards }) }),
      );

      expect(refused).toMatchObject({ code: 'sandbox.no_cards', paths: ['/sandbox'] });
      expect(refused.message).toContain('gives no cards to gVisor');
      expect(refused.message).toContain('`gvisor_cards`');
    }
  });

  it('refuses project storage that the allocation does not have (G-139)', () => {
    const refused = refusalOf(() => checkParams(params, { ...policy, project_storage: false }));

    expect(refused).toMatchObject({ code: 'mount.refused', paths: ['/mounts/1/mode'] });
    expect(refused.message).toContain('storage_not_ready');
  });

  it('reports everything at once, under the gravest code', () => {
    const refused = refusalOf(() =>
      checkParams(
        {
          ...params,
          env: { LD_PRELOAD: 'canary-1', NVIDIA_X: 'canary-2' },
          mounts: [{ ...mount, path: '/proc' }],
          python_packages: ['numpy', ';'],
          ...{ resources: { ...params.resources, gpu_count: 2 }, sandbox: 'gvisor' },
        },
        policy,
      ),
    );

    expect(refused.code).toBe('policy.refused');
    expect(refused.paths).toEqual([
      ...['/env/LD_PRELOAD', '/env/NVIDIA_X', '/mounts/0/path', '/python_packages/1', '/sandbox'],
    ]);
    expect(JSON.stringify(refused)).not.toContain('canary');
  });
});

function imageOf(text: string): Partial<WorkloadOciLaunchParams> {
  return { image: { ...params.image, reference: text } as WorkloadOciLaunchParams['image'] };
}

function twoPorts(second: Partial<(typeof params.ports)[number]>): Partial<WorkloadOciLaunchParams> {
  return { ports: [web, { name: 'second', container_port: 1, host_port: 2000, protocol: 'tcp', ...second }] };
}

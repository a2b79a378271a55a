import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import type { PathError } from '../../../src/contract/validate.ts';
import type { WorkloadComposeLaunchParams } from '../../../src/contract/workload-compose-launch.ts';
import { checkStackParams } from '../../../src/policy/check-stack.ts';
import type { ImageFacts } from '../../../src/policy/container-request.ts';
import type { GivenCards } from '../../../src/policy/given-cards.ts';
import { renderStack, stackSpecOf } from '../../../src/policy/render-stack.ts';
import { changed } from '../contract/samples.ts';
import { image as plainImage, policy } from './samples.ts';

const fixture = resolve(import.meta.dirname, '../../../fixtures/tasks/workload-compose-launch.json');
/** The launch of the example, whose service `watch` waits for `vllm`. */
const params = (JSON.parse(readFileSync(fixture, 'utf8')) as { params: WorkloadComposeLaunchParams }).params;
const vllm = '/document/services/vllm';
const cards: GivenCards = { uuids: ['GPU-1'], by: 'nvidia_ids', devices: [], groups: [] };

function imageOf(reference: string, over: Partial<ImageFacts> = {}): ImageFacts {
  return { ...plainImage, repoDigests: [reference], ...over };
}

function wanted(given = params, over: Partial<ImageFacts> = {}) {
  const services = Object.entries(given.document.services);
  return {
    ...{ params: given, policy, taskId: 'task-1', fencing: 3 },
    images: new Map(services.map(([name, { image }]) => [name, imageOf(image, over)])),
    sealedEnv: new Map([['vllm', { VLLM_API_KEY: 'opened' }]]),
  };
}

function render(given = params, over: Partial<ImageFacts> = {}) {
  return renderStack({ ...wanted(given, over), cards: new Map([['vllm', cards]]) });
}

interface Written {
  readonly services: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

function serviceOf(given = params, name = 'vllm', over: Partial<ImageFacts> = {}) {
  return (render(given, over).document as unknown as Written).services[name] ?? {};
}

/** Code and path of everything that is refused. */
function refused(given: unknown): { code: string; paths: string[] } {
  try {
    checkStackParams(given as WorkloadComposeLaunchParams, policy);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    return { code: error.code, paths: (error.detail['errors'] as unknown as PathError[]).map(({ path }) => path) };
  }
  return { code: 'accepted', paths: [] };
}

describe('the document of a stack', () => {
  it('is made of what the host says: names, user, limits, labels, network (G-94)', () => {
    const { project, document } = render();

    expect(project).toBe('gpuaas-stack-1');
    expect(document).toMatchObject({ networks: { default: { name: 'gpuaas-stack-1', external: true } } });
    expect(serviceOf()).toMatchObject({
      ...{ container_name: 'gpuaas-stack-1.vllm', user: '1001:1002', runtime: 'runc', restart: 'no', init: true },
      ...{ cap_drop: ['ALL'], security_opt: ['no-new-privileges'], ipc: 'private', cgroup: 'private' },
      ...{ mem_limit: 68719476736, memswap_limit: 68719476736, shm_size: 17179869184, pids_limit: 4096 },
      ...{ networks: ['default'], pull_policy: 'never' },
      logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '3' } },
      ports: [{ target: 8000, published: '8000', host_ip: '127.0.0.1', protocol: 'tcp', mode: 'host' }],
    });
    expect(serviceOf()['labels']).toMatchObject({
      ...{ 'gpuaas.instance': 'stack-1', 'gpuaas.service': 'vllm', 'gpuaas.fencing': '3', 'gpuaas.gpus': 'GPU-1' },
      ...{ 'gpuaas.endpoints': 'api:http:8000', 'gpuaas.restart': 'on_failure:3' },
    });
    expect(serviceOf(params, 'watch')['labels']).toMatchObject({ 'gpuaas.endpoints': '', 'gpuaas.readiness': '[]' });
  });

  it('binds folders of the host, and secrets of each service apart', () => {
    const bind = { propagation: 'rprivate', create_host_path: false };

    expect(serviceOf()['volumes']).toEqual([
      {
        ...{ type: 'bind', source: '/home/tenant/gpuaas/projects/project-7/cache', target: '/cache', read_only: false },
        bind,
      },
      {
        ...{ type: 'bind', source: '/run/gpuaas-gate/secrets/stack-1.vllm', target: '/run/secrets', read_only: true },
        bind,
      },
    ]);
    expect(serviceOf(params, 'watch')['volumes']).toEqual([]);
  });

  it('gives cards by their ids alone, and takes from the image what would choose others', () => {
    const env = ['NVIDIA_VISIBLE_DEVICES=all', 'LD_PRELOAD=/x.so'];

    const withCards = serviceOf(params, 'vllm', { env });
    const without = serviceOf(params, 'watch', { env });

    expect(withCards['deploy']).toMatchObject({
      resources: { reservations: { devices: [{ driver: 'nvidia', device_ids: ['GPU-1'] }] } },
    });
    expect(withCards['environment']).toMatchObject({ LD_PRELOAD: null, NVIDIA_VISIBLE_DEVICES: null });
    expect(without['environment']).toMatchObject({ LD_PRELOAD: null, NVIDIA_VISIBLE_DEVICES: 'void' });
    expect(without['deploy']).toBeUndefined();
  });

  it('refers to secrets, and holds none', () => {
    const rendered = render();

    expect(rendered.env).toEqual({ GPUAAS_SECRET_0: 'opened' });
    expect(serviceOf()['environment']).toMatchObject({ VLLM_API_KEY: `$${'{GPUAAS_SECRET_0}'}` });
    expect(JSON.stringify(rendered.document)).not.toContain('opened');
  });

  it('switches the health check of an image off where the document has none', () => {
    expect(serviceOf(params, 'watch')['healthcheck']).toEqual({ disable: true });
    expect(serviceOf()['healthcheck']).toMatchObject({ test: ['CMD', 'python3', '-c', 'pass'], start_period: '600s' });
  });

  it('leaves Compose nothing to replace, whatever stands in the texts of a task', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('$', '{', '}', 'A', '-', ':', '"', '\\', '\n') }), (text) => {
        const given = changed(params, `${vllm}/environment/TEXT`, text);
        const more = changed(changed(given, `${vllm}/command/0`, text), `${vllm}/healthcheck/test/3`, text);

        const service = serviceOf(more as WorkloadComposeLaunchParams);

        // As Compose reads it: two dollars are one, and no single one is left.
        const written = [
          (service['environment'] as Record<string, string>)['TEXT'],
          (service['command'] as string[])[0],
          (service['healthcheck'] as { test: string[] }).test[3],
        ];
        for (const each of written) {
          expect(each?.replaceAll('$$', '').includes('$')).toBe(false);
          expect(each?.replaceAll('$$', '$')).toBe(text);
        }
      }),
    );
  });
});

describe('the spec of a stack', () => {
  it('is the same whatever cards, task, fencing and display name', () => {
    const named = changed(params, '/identity/display_name', 'Another') as WorkloadComposeLaunchParams;
    const other = { ...wanted(named), taskId: 'task-9', fencing: 9 };

    expect(stackSpecOf(other)).toBe(stackSpecOf(wanted()));
    expect(render().spec).toBe(stackSpecOf(wanted()));
  });

  it.each([
    ['a health check', `${vllm}/healthcheck/retries`, 9],
    ['an order', '/document/services/watch/depends_on/vllm/condition', 'service_healthy'],
    ['a secret', '/sealed_env/vllm/VLLM_API_KEY', 'eyJhbGciOiJFQ0RILUVTIn0..aXY.dGV4dA.b3Ro'],
    ['a readiness check', '/readiness/0/timeout_seconds', 5],
    ['the topology', '/topology/services/0/role', 'other'],
  ])('is another one with another %s', (_what, path, value) => {
    const given = changed(params, path, value) as WorkloadComposeLaunchParams;

    expect(stackSpecOf(wanted(given))).not.toBe(stackSpecOf(wanted()));
  });
});

describe('what of a stack is refused, with its path', () => {
  it('is nothing of the example', () => {
    expect(refused(params)).toEqual({ code: 'accepted', paths: [] });
  });

  const tag = '127.0.0.1:5000/curated/vllm-openai:latest';
  it.each([
    ['another allocation', '/identity/allocation_id', 'other', 'task.untrusted', '/identity/allocation_id'],
    ['an image by tag', `${vllm}/image`, tag, 'image.not_pinned', `${vllm}/image`],
    ['a loader variable', `${vllm}/environment/LD_PRELOAD`, 'x', 'policy.refused', `${vllm}/environment/LD_PRELOAD`],
    ['a sealed one', '/sealed_env/vllm/LD_PRELOAD', 'x', 'policy.refused', '/sealed_env/vllm/LD_PRELOAD'],
    ['a mount over the system', `${vllm}/volumes/0/target`, '/etc', 'mount.refused', `${vllm}/volumes/0/target`],
    ['a volume that is not there', `${vllm}/volumes/0/source`, 'x', 'compose.refused', `${vllm}/volumes/0/source`],
    ['one of every object', `${vllm}/volumes/0/source`, 'constructor', 'compose.refused', `${vllm}/volumes/0/source`],
    ['shared memory beyond memory', `${vllm}/shm_size`, 2 ** 40, 'task.invalid', `${vllm}/shm_size`],
    ['a variable twice', `${vllm}/environment/VLLM_API_KEY`, 'x', 'task.invalid', '/sealed_env/vllm/VLLM_API_KEY'],
    ['an upper-case instance', '/identity/app_instance_id', 'Stack', 'compose.refused', '/identity/app_instance_id'],
    ['secrets of nobody', '/sealed_env/other', {}, 'compose.refused', '/sealed_env/other'],
    ['files of nobody', '/sealed_files/other', {}, 'compose.refused', '/sealed_files/other'],
    ['a shell', `${vllm}/healthcheck/test/0`, 'CMD-SHELL', 'compose.refused', `${vllm}/healthcheck/test/0`],
    ['a missing one', '/topology/services', [], 'compose.refused', '/topology/services'],
    ['an unknown one', '/topology/services/0/name', 'x', 'compose.refused', '/topology/services/0/name'],
    ['one twice', '/topology/services/0/name', 'watch', 'compose.refused', '/topology/services/1/name'],
    ['its endpoint', '/topology/services/0/endpoints', ['x'], 'compose.refused', '/topology/services/0/endpoints/0'],
    ['its folder', '/topology/services/1/mounts', ['cache'], 'compose.refused', '/topology/services/1/mounts/0'],
    ['an endpoint', '/readiness/0/endpoint', 'x', 'task.invalid', '/readiness/0/endpoint'],
    ['another protocol', `${vllm}/ports/0/app_protocol`, 'tcp', 'task.invalid', '/readiness/0/type'],
    ['a bearer of nobody', '/readiness/1/bearer_env', 'OTHER', 'task.invalid', '/readiness/1/bearer_env'],
    ['cards in gVisor', '/sandbox', 'gvisor', 'sandbox.no_cards', '/sandbox'],
  ])('%s', (_what, path, value, code, at) => {
    const found = refused(changed(params, path, value));

    expect(found.code).toBe(code);
    expect(found.paths).toContain(at);
  });

  it.each([
    ['itself', { watch: { condition: 'service_started' } }, '/document/services/watch/depends_on'],
    ['nobody', { other: { condition: 'service_started' } }, '/document/services/watch/depends_on/other'],
  ])('a service that waits for %s', (_what, depends_on, at) => {
    const found = refused(changed(params, '/document/services/watch/depends_on', depends_on));

    expect(found).toMatchObject({ code: 'compose.refused', paths: [at] });
  });

  it('services that wait for each other, each of them', () => {
    const found = refused(changed(params, `${vllm}/depends_on`, { watch: { condition: 'service_started' } }));

    expect(found.paths.sort()).toEqual([`${vllm}/depends_on`, '/document/services/watch/depends_on'].sort());
  });

  it('waiting for the health of a service without a health check', () => {
    const path = '/document/services/watch/depends_on/vllm/condition';
    const { healthcheck: _gone, ...rest } = params.document.services['vllm'] ?? {};
    const given = changed(changed(params, vllm, rest), path, 'service_healthy');

    expect(refused(given)).toEqual({ code: 'compose.refused', paths: [path] });
  });

  it('a bearer that only looks as if somebody had sealed it: a service may have the name of what every object has', () => {
    const port = { ...params.document.services['vllm']?.ports?.[0], name: 'b', published: 9001 };
    const { vllm: other, watch } = params.document.services;
    const document = { ...params.document, services: { vllm: other, constructor: { ...watch, ports: [port] } } };
    const readiness = [{ type: 'http', endpoint: 'b', path: '/', timeout_seconds: 5, bearer_env: 'name' }];

    expect(refused({ ...params, document, readiness } as never).paths).toContain('/readiness/0/bearer_env');
  });

  it('a port, a name and a target that are taken in the stack', () => {
    const port = { ...params.document.services['vllm']?.ports?.[0] };
    const given = changed(params, '/document/services/watch/ports', [port, { ...port, name: 'b', published: 9001 }]);
    const at = '/document/services/watch/ports';

    expect(refused(given).paths.sort()).toEqual([`${at}/0/name`, `${at}/0/published`, `${at}/1/target`]);
  });

  it('everything at once', () => {
    const given = changed(changed(params, `${vllm}/image`, tag), '/topology/services/0/name', 'x');

    expect(refused(given).paths.length).toBeGreaterThan(2);
  });

  it('an image that is not the one that was asked for, or cannot be made safe, with the service', () => {
    expect(() => render(params, { repoDigests: [] })).toThrow(
      expect.objectContaining({ code: 'image.digest_mismatch' }),
    );
    expect(() => render(params, { volumes: ['/cache/x'] })).toThrow(
      expect.objectContaining({
        detail: expect.objectContaining({ errors: [expect.objectContaining({ path: `${vllm}/image` })] }),
      }),
    );
  });
});

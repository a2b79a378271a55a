import { beforeAll, describe, expect, it } from 'vitest';
import type { LaunchRequest } from '../../../../src/server/launch/launch-request.ts';
import { sampleGpu } from '../../../support/gpus.ts';
import {
  allocationId,
  aNode,
  anApp,
  anArtifact,
  aRequest,
  aVersion,
  imageDigest,
  runtimeStatus,
} from '../../../support/launch-samples.ts';
import { anAllocation, anInstance } from '../../../support/store-samples.ts';
import { type TestServer, testServer } from '../../../support/test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await testServer();
  await server.store.write(async (tx) => {
    const gpus = [1, 2, 3].map((number) => sampleGpu({ uuid: `GPU-${number}` }));
    const amount = { total: 32, reserved: 0, used: 0, free: 32 };
    const resources = { cpu_cores: amount, memory_gib: amount, disk_gib: amount };
    await tx.nodes.insert(aNode({ runtime: runtimeStatus({ gpus, resources }) }));
    const shape = { gpu_count: 3, cpu_cores: 32, memory_gib: 64 };
    await tx.allocations.insert(anAllocation({ node_id: 'node-1', shape, project_storage: true }));
    await tx.apps.insert(anApp());
    await tx.app_versions.insert(aVersion());
    await tx.artifacts.insert(anArtifact());
    const at = '2026-11-25T10:00:00.000Z';
    await tx.entitlements.insert({
      ...{ id: 'e1', app_slug: 'jupyterlab', project_id: 'p1', created_by: 'seed', created_at: at },
    });
    await tx.app_instances.insert(anInstance({ resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 8 } }));
  });
});

async function check(given: Partial<LaunchRequest> = {}) {
  const { status, body } = await server.call('POST', '/api/v1/app-instances/checks', {
    ...{ as: 'member', body: aRequest(given) },
  });
  expect(status).toBe(200);
  return body;
}

async function warnings(given: Partial<LaunchRequest>): Promise<string[]> {
  return (await check(given)).warnings.map(({ code, path }: { code: string; path: string }) => `${code} ${path}`);
}

const amounts = (resource_overrides: LaunchRequest['resource_overrides']) => ({
  resource_overrides: { gpu_count: 0, ...resource_overrides },
});

describe('POST /api/v1/app-instances/checks', () => {
  it('shows target, digest, resources, mounts, endpoints and every value of a launch that would be accepted (G-64)', async () => {
    const { artifact_id: _, ...request } = aRequest({ config: { host_port: 9000, python_packages: 'numpy==2.4.4' } });

    const { body } = await server.call('POST', '/api/v1/app-instances/checks', { as: 'member', body: request });

    expect(body).toMatchObject({ accepted: true, refusals: [] });
    expect(body.review).toEqual({
      app: {
        ...{ slug: 'jupyterlab', version: '2026.04-preview', name: 'JupyterLab' },
        ...{ support_level: 'platform_curated', engine: 'node_agent' },
      },
      display_name: 'My JupyterLab',
      allocation: { id: allocationId, name: 'host one' },
      node: { id: 'node-1', name: 'host-1' },
      artifact: {
        ...{ id: 'artifact-cpu', name: 'runtime-cpu', repository: '127.0.0.1:5000/curated/runtime-cpu' },
        ...{ digest: imageDigest, running_digest: imageDigest, lifecycle: 'promoted', trust: 'verified' },
      },
      resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
      mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch' }],
      exposure: [
        {
          ...{ endpoint: 'web', mode: 'private', protocol: 'http', container_port: 8888, host_port: 9000 },
          generated_token: true,
        },
      ],
      parameters: {
        ...{ workspace_mount: 'scratch', exposure_mode: 'private', host_port: 9000, gpu_count: 0, cpu_cores: 2 },
        ...{ memory_gib: 4, python_packages: 'numpy==2.4.4' },
      },
      secrets: [],
    });
  });

  it('has nothing to show of a launch that would be refused', async () => {
    const body = await check({ app_version: 'none' });

    expect(body).toMatchObject({ accepted: false, review: null });
    expect(body.refusals).toMatchObject([{ code: 'launch.version_not_found', path: '/app_version' }]);
  });

  it.each<[string, Partial<LaunchRequest>, string[]]>([
    ['nothing, where nothing is chosen', {}, []],
    ['packages', { config: { python_packages: 'numpy pandas>=2.2' } }, ['warning.packages /config/python_packages']],
    ['as many cards as usual', amounts({ gpu_count: 1 }), []],
    ['more cards than usual', amounts({ gpu_count: 2 }), ['warning.gpus_above_default /resource_overrides/gpu_count']],
    [
      'all cards that there are',
      { config: { gpu_count: 3 }, resource_overrides: {} },
      ['warning.gpus_above_default /config/gpu_count', 'warning.gpus_last /config/gpu_count'],
    ],
    ['memory that leaves some', amounts({ memory_gib: 20 }), []],
    [
      'memory that leaves little',
      amounts({ memory_gib: 22 }),
      ['warning.memory_near_host /resource_overrides/memory_gib'],
    ],
    [
      'storage that outlives it',
      { config: { workspace_mount: 'project_storage' } },
      ['warning.storage_kept /config/workspace_mount'],
    ],
  ])('warns of %s (G-228)', async (_what, given, expected) => {
    expect(await warnings(given)).toEqual(expected);
    expect((await check(given)).accepted).toBe(true);
  });

  it('warns also of what is refused for another reason, as far as its values are sound', async () => {
    const config = { python_packages: 'numpy', host_port: 80 };

    expect(await check({ config, artifact_id: 'unknown' })).toMatchObject({
      accepted: false,
      warnings: [{ code: 'warning.packages', message: expect.stringContaining('1 package is') }],
    });
  });

  it('changes nothing, whatever it says (G-116)', async () => {
    const before = await everything();
    for (const given of [{}, { artifact_id: 'unknown' }, amounts({ gpu_count: 9 })]) await check(given);

    expect(await everything()).toEqual(before);
  });
});

async function everything() {
  return server.store.read(async (tx) => ({
    ...{
      instances: await tx.app_instances.list(),
      tasks: await tx.tasks.list(),
      answers: await tx.idempotent_answers.list(),
    },
    events: await tx.events.range(),
  }));
}

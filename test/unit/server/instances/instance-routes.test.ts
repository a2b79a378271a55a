import { beforeAll, describe, expect, it } from 'vitest';
import type { LaunchRequest } from '../../../../src/server/launch/launch-request.ts';
import { workloadOutput } from '../../../support/launch-bench.ts';
import { allocationId, aNode, anApp, anArtifact, aRequest, aVersion } from '../../../support/launch-samples.ts';
import { anAllocation } from '../../../support/store-samples.ts';
import { type TestServer, testServer } from '../../../support/test-server.ts';

const instances = '/api/v1/app-instances';
let server: TestServer;
let port = 20_000;

beforeAll(async () => {
  server = await testServer();
  await server.store.write(async (tx) => {
    await tx.nodes.insert(aNode({ runtime_at: '2026-11-25T10:00:00.000Z' }));
    const ssh = { host: 'gpu-1.example.com', port: 2222, user: 'tenant' };
    await tx.allocations.insert(
      anAllocation({ node_id: 'node-1', ssh, shape: { gpu_count: 1, cpu_cores: 256, memory_gib: 512 } }),
    );
    await tx.apps.insert(anApp());
    await tx.app_versions.insert(aVersion());
    await tx.artifacts.insert(anArtifact());
    await tx.entitlements.insert({
      ...{ id: 'entitlement-1', app_slug: 'jupyterlab', project_id: 'p1', created_by: 'seed' },
      created_at: '2026-11-25T10:00:00.000Z',
    });
  });
});

/** A request for a port that nobody has yet. */
function wish(given: Partial<LaunchRequest> = {}): LaunchRequest {
  port += 1;
  return aRequest({ config: { host_port: port }, ...given });
}

function launch(body: unknown, headers: Record<string, string> = {}, as = 'member') {
  return server.call('POST', instances, { as, body, headers });
}

async function finish(id: string): Promise<void> {
  await server.store.write(async (tx) => {
    const instance = await tx.app_instances.get(id);
    const task = instance?.current_task_id ? await tx.tasks.get(instance.current_task_id) : undefined;
    if (!instance || !task) throw new Error('nothing is at work');
    const state = task.purpose === 'decommission' ? 'removed' : task.purpose === 'stop' ? 'stopped' : 'running';
    const at = '2026-11-25T10:00:01.000Z';
    await server.context.queue.finish(tx, task, {
      ...{ task_id: task.id, status: 'succeeded', failure: null, started_at: at, finished_at: at },
      output: workloadOutput(instance, state),
    });
  });
}

describe('POST /api/v1/app-instances', () => {
  it('accepts a launch and shows what opens it, once (G-148, G-210)', async () => {
    const { status, body } = await launch(wish());

    expect(status).toBe(202);
    expect(body).toMatchObject({
      ...{ state: 'deploying', project_id: 'p1', allocation_id: allocationId, display_name: 'My JupyterLab' },
      credentials: [{ endpoint: 'web', token: expect.stringMatching(/^[0-9a-f]{48}$/), url_query: 'token' }],
    });
    expect(body).not.toHaveProperty('sealed_files');
    expect(body).not.toHaveProperty('image');
  });

  it('keeps the token nowhere: not in the store, not in any other answer (G-214)', async () => {
    const { body } = await launch(wish(), { 'idempotency-key': 'canary' });
    const [{ token }] = body.credentials;
    await finish(body.id);

    const answers = [
      await server.call('GET', `${instances}/${body.id}`, { as: 'member' }),
      await server.call('GET', instances, { as: 'member' }),
      await server.call('GET', `${instances}/${body.id}/events`, { as: 'member' }),
      await server.call('GET', '/api/v1/nodes', { as: 'admin' }),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      expect(JSON.stringify(answer.body)).not.toContain(token);
    }
    const tables = await server.store.read(async (tx) => [
      await tx.app_instances.list(),
      await tx.tasks.list(),
      await tx.idempotent_answers.list(),
      await tx.events.list({ after: 0, limit: 1000 }),
    ]);
    expect(JSON.stringify(tables)).not.toContain(token);
    expect(JSON.stringify(tables)).toContain('/run/secrets/web-token');
  });

  it('gives the same answer under the same key, credentials included, and refuses another body (X-9)', async () => {
    const request = wish();
    const key = { 'idempotency-key': 'launch-1' };

    const first = await launch(request, key);
    const again = await launch(request, key);
    const other = await launch({ ...request, display_name: 'Another' }, key);

    expect(first.body.credentials).toHaveLength(1);
    expect(again.body).toEqual(first.body);
    expect(other).toMatchObject({ status: 409, body: { error: { code: 'idempotency.conflict' } } });
    const mine = await server.call('GET', `${instances}?limit=500`, { as: 'member' });
    expect(mine.body.items.filter(({ id }: { id: string }) => id === first.body.id)).toHaveLength(1);
  });

  it('says everything that is wrong at once, with pointers and hints (G-116)', async () => {
    const { status, body } = await launch(
      wish({ config: { workspace_mount: 'project_storage' }, resource_overrides: { gpu_count: 4 } }),
    );

    expect(status).toBe(400);
    expect(body.error).toMatchObject({
      code: 'launch.storage_not_ready',
      correlation_id: expect.any(String),
      errors: [
        { code: 'launch.storage_not_ready', path: '/config/workspace_mount', hint: expect.stringContaining('scratch') },
        { code: 'launch.resources_exceed_allocation', path: '/resource_overrides/gpu_count' },
      ],
    });
  });

  it.each<[string, object, number, string]>([
    ['an unknown app (G-98)', { app_slug: 'nothing' }, 404, 'launch.app_not_found'],
    ['an unknown version (G-99)', { app_version: '1.0' }, 404, 'launch.version_not_found'],
    ['no allocation (G-101, G-148)', { placement_intent: {} }, 400, 'launch.allocation_missing'],
    ['a value that the profile has not (G-148)', { config: { workspace_mount: 'nfs' } }, 400, 'launch.values_invalid'],
    ['an image that nobody registered (G-148)', { artifact_id: 'nothing' }, 404, 'launch.artifact_not_found'],
    [
      'an allocation nobody has',
      { placement_intent: { target_allocation_id: allocationId.replace('0190', '0191') } },
      404,
      'launch.allocation_not_in_project',
    ],
    ['an image (G-215)', { image: 'evil/x' }, 400, 'request.invalid'],
    ['a project that is not the own', { project_id: 'p2' }, 404, 'resource.not_found'],
  ])('refuses %s', async (_what, given, status, code) => {
    const answer = await launch({ ...wish(), ...given });

    expect(answer).toMatchObject({ status, body: { error: { code } } });
  });

  it('takes members only', async () => {
    expect((await launch(wish(), {}, 'viewer')).status).toBe(403);
  });

  it('tells another project nothing of the allocation (G-108)', async () => {
    const foreign = await launch(wish(), {}, 'stranger');
    const none = await launch(
      wish({ placement_intent: { target_allocation_id: allocationId.replace('0190', '0191') } }),
      {},
      'stranger',
    );

    expect(foreign.status).toBe(404);
    expect({ ...foreign.body.error, correlation_id: '' }).toEqual({ ...none.body.error, correlation_id: '' });
  });
});

describe('POST /api/v1/app-instances/checks', () => {
  it('says what would come of a launch and does nothing (G-55)', async () => {
    const held = wish();
    await launch(held);
    const before = await server.store.read((tx) => tx.app_instances.count());

    const taken = await server.call('POST', `${instances}/checks`, { as: 'member', body: held });
    const free = await server.call('POST', `${instances}/checks`, { as: 'member', body: wish() });

    expect(taken.body).toMatchObject({ accepted: false, refusals: [{ code: 'launch.host_port_taken' }] });
    expect(free.body).toMatchObject({ accepted: true, refusals: [], warnings: [] });
    expect(await server.store.read((tx) => tx.app_instances.count())).toBe(before);
  });

  it('says what stands against it on the node as well, as the launch itself does (G-116)', async () => {
    const wrong = wish({ config: { host_port: 80 }, resource_overrides: { gpu_count: 9 } });
    await server.store.write((tx) => tx.nodes.put(aNode({ drain: true })));

    const judged = await server.call('POST', `${instances}/checks`, { as: 'member', body: wrong });
    const refused = await launch(wrong);
    const only = await server.call('POST', `${instances}/checks`, { as: 'member', body: wish() });
    await server.store.write((tx) => tx.nodes.put(aNode({ runtime_at: '2026-11-25T10:00:00.000Z' })));

    expect(judged.body.refusals.map(({ code }: { code: string }) => code)).toEqual([
      'launch.values_invalid',
      'launch.resources_exceed_allocation',
      'launch.node_unavailable',
    ]);
    expect(refused.body.error.errors).toEqual(judged.body.refusals);
    expect(only.body).toMatchObject({ accepted: false, refusals: [{ code: 'launch.node_unavailable' }] });
  });
});

describe('an instance', () => {
  it('goes from launch to decommission through the interface alone (G-20, G-180)', async () => {
    const { body: launched } = await launch(wish());
    const path = `${instances}/${launched.id}`;
    const act = (action: string) => server.call('POST', `${path}/actions`, { as: 'member', body: { action } });
    const state = async () => (await server.call('GET', path, { as: 'viewer' })).body.state;

    await finish(launched.id);
    expect(await state()).toBe('running');
    expect((await act('stop')).body.state).toBe('stopping');
    await finish(launched.id);
    expect((await act('start')).body.state).toBe('starting');
    await finish(launched.id);
    expect((await act('decommission')).body.state).toBe('decommissioning');
    await finish(launched.id);
    expect(await state()).toBe('decommissioned');

    const { body } = await server.call('GET', `${path}/events`, { as: 'viewer' });
    expect(body.items.map(({ type }: { type: string }) => type.replace('apps.instance.', ''))).toEqual([
      ...['requested', 'deploying', 'running', 'stopping', 'stopped', 'starting', 'running'],
      ...['decommissioning', 'decommissioned'],
    ]);
  });

  it('shows the tunnel to type, its endpoint without the token, and the commands of the app (G-86, G-87, G-229, X-11)', async () => {
    const { body: launched } = await launch(wish());
    await finish(launched.id);

    const { body } = await server.call('GET', `${instances}/${launched.id}`, { as: 'viewer' });

    expect(body.access).toEqual([
      {
        endpoint: 'web',
        url: `http://127.0.0.1:${port}/`,
        bearer_path: null,
        tunnel: `ssh -N -L ${port}:127.0.0.1:${port} -p 2222 tenant@gpu-1.example.com`,
      },
    ]);
    expect(body.commands).toEqual([{ name: 'inspect', command: 'gpuaas apps instances describe' }]);
  });

  it('shows no way to what is stopped: a tunnel would lead nowhere', async () => {
    const { body: launched } = await launch(wish());
    await finish(launched.id);
    await server.call('POST', `${instances}/${launched.id}/actions`, { as: 'member', body: { action: 'stop' } });
    await finish(launched.id);

    const { body } = await server.call('GET', `${instances}/${launched.id}`, { as: 'viewer' });

    expect(body).toMatchObject({ state: 'stopped', endpoints: [{ name: 'web' }], access: [] });
  });

  it('says the names behind its ids, and what was chosen for it (G-222 to G-227)', async () => {
    const { body } = await launch(wish({ config: { host_port: 29_999, workspace_mount: 'scratch' } }));

    const shown = await server.call('GET', `${instances}/${body.id}`, { as: 'viewer' });

    expect(shown.body).toMatchObject({
      ...{ app_slug: 'jupyterlab', app_version: '2026.04-preview' },
      resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
    });
    expect(shown.body.about).toEqual({
      ...{ app: 'JupyterLab', support_level: 'platform_curated', artifact: 'runtime-cpu', exposure_mode: 'private' },
      ...{ allocation: 'host one', node: aNode().name },
      storage: [{ name: 'workspace', path: expect.stringMatching(/^\//), mode: 'scratch' }],
    });
  });

  it('is nothing that another project could see or touch', async () => {
    const { body: launched } = await launch(wish());
    const path = `${instances}/${launched.id}`;
    const asked = [
      server.call('GET', path, { as: 'stranger' }),
      ...['events', 'logs', 'metrics', 'topology'].map((part) =>
        server.call('GET', `${path}/${part}`, { as: 'stranger' }),
      ),
      server.call('POST', `${path}/actions`, { as: 'stranger', body: { action: 'stop' } }),
    ];

    for (const { status, body } of await Promise.all(asked)) {
      expect(status).toBe(404);
      expect(body.error.code).toBe('resource.not_found');
    }
    expect((await server.call('GET', instances, { as: 'stranger' })).body).toEqual({ items: [], next: null });
  });

  it('says what it consists of, without the words of an engine (G-185)', async () => {
    const { body: launched } = await launch(wish());
    await finish(launched.id);

    const { body } = await server.call('GET', `${instances}/${launched.id}/topology`, { as: 'viewer' });

    expect(body).toMatchObject({
      services: [{ name: 'main', role: 'app', endpoints: ['web'], mounts: ['workspace'] }],
      members: [{ name: 'main', state: 'running' }],
    });
    expect(JSON.stringify(body)).not.toContain('services:');
  });

  it('has the classes of recovery beside its failure (X-12)', async () => {
    const { body: launched } = await launch(wish());
    await server.store.write(async (tx) => {
      const instance = await tx.app_instances.get(launched.id);
      const task = instance?.current_task_id ? await tx.tasks.get(instance.current_task_id) : undefined;
      if (task) await server.context.queue.cancel(tx, task.id);
    });

    const { body } = await server.call('GET', `${instances}/${launched.id}`, { as: 'viewer' });

    expect(body).toMatchObject({ state: 'failed', failure: { code: 'task.cancelled' }, recovery: 'repairable' });
  });
});

describe('the end of an allocation', () => {
  it('decommissions what is on it', async () => {
    const other = allocationId.replace('0190', '0192');
    await server.store.write(async (tx) => {
      await tx.nodes.insert(aNode({ id: 'node-2', allocation_id: other, runtime_at: '2026-11-25T10:00:00.000Z' }));
      await tx.allocations.insert(anAllocation({ id: other, node_id: 'node-2' }));
    });
    const { body: launched } = await launch(wish({ placement_intent: { target_allocation_id: other } }));
    await finish(launched.id);

    const { body: ending } = await server.call('POST', `/api/v1/allocations/${other}/end`);
    expect(ending.state).toBe('releasing');
    await finish(launched.id);

    expect((await server.call('GET', `/api/v1/allocations/${other}`)).body.state).toBe('ended');
    expect((await launch(wish({ placement_intent: { target_allocation_id: other } }))).body.error.code).toBe(
      'launch.allocation_not_active',
    );
  });
});

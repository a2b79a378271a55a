/** A stack through the API: what its owner is told, what is drawn, and where its secrets are not. */
import { beforeAll, describe, expect, it } from 'vitest';
import { stackOutput } from '../../../support/launch-bench.ts';
import {
  allocationId,
  aNode,
  anApp,
  aVersion,
  largeShape,
  runtimeStatus,
  vllmArtifact,
  vllmRequest,
} from '../../../support/launch-samples.ts';
import { vllmProfile } from '../../../support/profiles.ts';
import { anAllocation } from '../../../support/store-samples.ts';
import { type Answered, type TestServer, testServer } from '../../../support/test-server.ts';

const instances = '/api/v1/app-instances';
const canary = 'hf_canary_of_a_token';
const small = { config: { shm_gib: 1 }, resource_overrides: { gpu_count: 1, cpu_cores: 2, memory_gib: 8 } };
let server: TestServer;
let launched: Answered;

beforeAll(async () => {
  server = await testServer();
  await server.store.write(async (tx) => {
    const runtime = runtimeStatus({ compose_version: '2.26.1' });
    await tx.nodes.insert(aNode({ runtime, runtime_at: '2026-11-25T10:00:00.000Z' }));
    await tx.allocations.insert(anAllocation({ node_id: 'node-1', shape: largeShape }));
    await tx.apps.insert(anApp({ id: 'vllm-openai' }));
    await tx.app_versions.insert(aVersion({ app_slug: 'vllm-openai', version: '2026.11', manifest: vllmProfile() }));
    await tx.artifacts.insert(vllmArtifact());
    await tx.entitlements.insert({
      ...{ id: 'entitlement-1', app_slug: 'vllm-openai', project_id: null, created_by: 'seed' },
      created_at: '2026-11-25T10:00:00.000Z',
    });
  });
  launched = await launch(vllmRequest({ ...small, secrets: { hub_token: canary } }), 'launch-1');
  await server.store.write(async (tx) => {
    const instance = await tx.app_instances.get(launched.body.id);
    const task = instance?.current_task_id ? await tx.tasks.get(instance.current_task_id) : undefined;
    if (!instance || !task) throw new Error('nothing was launched');
    const at = '2026-11-25T10:00:01.000Z';
    await server.context.queue.finish(tx, task, {
      ...{ task_id: task.id, status: 'succeeded', failure: null, started_at: at, finished_at: at },
      output: stackOutput(instance, { vllm: 'running' }),
    });
  });
});

function launch(body: unknown, key?: string): Promise<Answered> {
  return server.call('POST', instances, { as: 'member', body, headers: key ? { 'idempotency-key': key } : {} });
}

const look = (part = '') => server.call('GET', `${instances}/${launched.body.id}${part}`, { as: 'member' });

describe('the launch of a stack', () => {
  it('tells its owner the key once, and which path asks for it (G-210, X-11)', async () => {
    expect(launched).toMatchObject({ status: 202, body: { state: 'deploying', engine: 'docker_compose' } });
    expect(launched.body.credentials).toEqual([
      {
        ...{ endpoint: 'openai', token: expect.stringMatching(/^[0-9a-f]{48}$/) },
        ...{ url_query: null, bearer_path: '/v1/models' },
      },
    ]);
    expect((await look()).body).not.toHaveProperty('credentials');
  });

  it('leaves neither the key nor what was brought anywhere: not in the store, not in an answer (G-214)', async () => {
    const [{ token }] = launched.body.credentials;
    const answers = [await look(), await look('/topology'), await look('/events'), await look('/metrics')];
    const tables = await server.store.read(async (tx) => [
      await tx.app_instances.list(),
      await tx.tasks.list(),
      await tx.idempotent_answers.list(),
      await tx.events.list({ after: 0, limit: 1000 }),
    ]);

    const text = JSON.stringify([launched.body.config, answers, tables]);
    expect(text).toContain('/run/secrets/hub_token');
    expect(text).not.toContain(canary);
    expect(text).not.toContain(token);
  });

  it('says nothing of a secret that it refuses', async () => {
    const refused = await launch(vllmRequest({ ...small, secrets: { hub_token: `${canary}\nsecond line` } }));
    const unknown = await launch(vllmRequest({ ...small, secrets: { other: canary } }));

    expect(refused).toMatchObject({ status: 400, body: { error: { code: 'request.invalid' } } });
    expect(unknown.body.error.errors[0]).toMatchObject({ code: 'launch.values_invalid', path: '/secrets/other' });
    expect(JSON.stringify([refused.body, unknown.body])).not.toContain(canary);
  });

  it('is the same under its key, and another with another secret', async () => {
    const request = vllmRequest({ ...small, secrets: { hub_token: canary } });

    expect((await launch(request, 'launch-1')).body).toEqual(launched.body);
    expect((await launch({ ...request, secrets: { hub_token: 'hf_other' } }, 'launch-1')).status).toBe(409);
  });
});

describe('a stack that runs', () => {
  it('is drawn as its manifest says, with states and cards, and no word of an engine (G-92, G-184, G-185)', async () => {
    const { body } = await look('/topology');

    expect(body.services).toEqual([
      {
        ...{ name: 'vllm', role: 'openai_server', endpoints: ['openai'], mounts: ['workspace'] },
        ...{ state: 'running', health: null, restarts: 0, gpus: ['GPU-1'] },
      },
    ]);
    expect(body.members).toMatchObject([{ name: 'vllm', status: { container_id: 'c-vllm' } }]);
    expect(JSON.stringify(body)).not.toMatch(/depends_on|mem_limit|entrypoint/);
  });

  it('shows its cards and its address', async () => {
    const { body } = await look();

    expect(body).toMatchObject({ state: 'running', allocation_id: allocationId });
    expect(body.gpus).toMatchObject([
      { uuid: 'GPU-1', service: 'vllm', card: { vendor: 'nvidia', health: 'healthy' } },
    ]);
    expect(body.access).toMatchObject([
      { endpoint: 'openai', url: 'http://127.0.0.1:8000/', bearer_path: '/v1/models' },
    ]);
    // A minute for the question, 15 for the node to come, an hour for the image, and what the profile has for the start.
    expect(body.launch_seconds).toBe(60 + 900 + 3600 + Number(body.config.start_timeout_seconds));
  });
});

import { compactDecrypt } from 'jose';
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { JobPlan } from '../../../../src/contract/job-plan.ts';
import { documentHash } from '../../../../src/manifests/job-secrets.ts';
import { errorsOfPlan } from '../../../../src/policy/check-job-plan.ts';
import { aStep, definition, jobOutput, jobServer } from '../../../support/job-server.ts';
import { anAllocation } from '../../../support/store-samples.ts';

const server = await jobServer();
const { call, store, submit, hello, job, reaches, registry, imageDigest } = server;
const host = await server.connect();
const errorsOf = (body: { error: { errors: { path: string; code: string }[] } }) =>
  body.error.errors.map(({ path, code }) => `${path} ${code}`);
const whole = `${registry.host}/team/hello`;

describe('a job that is submitted', () => {
  it('is pinned, placed, given to its host, followed to its end and removed (N-7, N-51)', async () => {
    const { status, body } = await submit({ ...hello(), meta: { trigger: 'somewhere-new' } }, { name: 'First' });
    expect(status).toBe(201);
    expect(body).toMatchObject({ name: 'First', dialect: 'nosana', project_id: 'p1', state: 'queued', attempt: 0 });
    expect(body.steps).toMatchObject([
      { id: 'hello', state: 'pending', image: { name: whole, tag: '1', digest: imageDigest } },
    ]);

    const task = await host.agent.accept();
    expect(task).toMatchObject({ type: 'workload.job_launch', workload_id: body.id, node_id: 'node-1' });
    const plan = task.params as JobPlan;
    expect(plan.images[0]?.source).toMatchObject({ reference: `${whole}@${imageDigest}` });
    expect(plan.resources).toEqual({ gpu_count: 0, cpu_cores: 2, memory_gib: 2 });

    host.report(task, {});
    const running = await reaches(body.id, 'running');
    expect(running).toMatchObject({
      node_name: 'host-1',
      reason: 'hello runs.',
      shown_attempt: 1,
      actions: ['cancel'],
    });
    expect((await call('DELETE', `/api/v1/jobs/${body.id}`, { as: 'member' })).body.error.code).toBe('job.running');
    host.end(task, {});
    const over = await reaches(body.id, 'succeeded');
    expect(over).toMatchObject({ failure: null, recommended_action: null, actions: ['remove'] });
    expect(over.steps[0]).toMatchObject({ state: 'succeeded', exit_code: 0 });

    const flow = (await call('GET', `/api/v1/jobs/${body.id}/flow-state`, { as: 'viewer' })).body;
    expect(flow).toMatchObject({ status: 'success', opStates: [{ operationId: 'hello', exitCode: 0 }] });
    const { items } = (await call('GET', `/api/v1/jobs/${body.id}/events`, { as: 'viewer' })).body;
    expect(items.map(({ type }: { type: string }) => type)).toEqual([
      ...['job.submitted', 'job.dispatched', 'job.running', 'job.succeeded'],
    ]);
    expect((await call('DELETE', `/api/v1/jobs/${body.id}`, { as: 'member' })).body).toEqual({ removed: true });
    expect((await call('GET', `/api/v1/jobs/${body.id}`)).status).toBe(404);
  });

  it('is refused with everything that is wrong with it, and what to do (X-21, X-23)', async () => {
    const { status, body } = await submit({
      ...definition(`${registry.host}/team/none:1`),
      ops: [
        { type: 'container/run', id: 'a', args: { image: 'nowhere.example.com/x:1' } },
        { type: 'container/run', id: 'b', args: { image: `${registry.host}/team/none:2` } },
      ],
    });

    expect(status).toBe(422);
    expect(body.error).toMatchObject({ code: 'job.invalid', recommended_action: 'correct' });
    expect(errorsOf(body).sort()).toEqual([
      ...['/ops/0/args/image image.registry_denied', '/ops/1/args/image image.not_found'],
    ]);
    const twice = await submit({ ...hello(), nonsense: true, ops: [{ type: 'container/run', id: 'a b', args: {} }] });
    expect(twice.status).toBe(422);
    expect(errorsOf(twice.body)).toContain('/nonsense unknown_key');
    expect(twice.body.error.errors.every(({ hint }: { hint: string }) => hint.length > 0)).toBe(true);
  });

  it('is refused where any host would refuse its plan', async () => {
    const options = { resources: { memory_gib: 1, shm_gib: 2 } };
    const { status, body } = await submit(hello(), { options });

    expect([status, body.error.code]).toEqual([422, 'job.invalid']);
    expect(body.error.errors[0].message).toContain('/steps/0/resources/shm_gib must not exceed memory_gib');
  });

  it('gets memory that the shared memory of its steps fits into, or is refused where no host has it', async () => {
    const both = ['a', 'b'].map((id) => ({ ...hello().ops[0], id, execution: { group: 'both' } }));
    const side = { ...hello(), ops: both };
    const asking = (shm_gib: number) => ({ options: { resources: { shm_gib } } });
    const { body } = await submit(side, asking(1.5));
    const task = await host.agent.accept();
    host.end(task, {});
    await reaches(body.id, 'succeeded');

    const plan = task.params as JobPlan;
    expect(plan.resources.memory_gib).toBe(3);
    expect(errorsOfPlan(plan)).toEqual([]);
    expect((await submit(side, asking(400))).body.error.code).toBe('job.unfit');
  });

  it.each([
    ['a profile of an app', { document: 'profile:\n  slug: x\n' }, ' no_job'],
    ['what nobody knows', { document: { what: 1 } }, ' unknown_dialect'],
    ['no text of any kind', { document: '{"ops": [' }, undefined],
  ])('is not %s', async (_, request, error) => {
    const { status, body } = await call('POST', '/api/v1/jobs', { as: 'member', body: request });

    expect([status, body.error.code]).toEqual([422, 'job.invalid']);
    if (error !== undefined) expect(errorsOf(body)).toEqual([error]);
  });

  it('may be text in YAML', async () => {
    const text = JSON.stringify(hello());
    const yaml = `version: "0.1"\ntype: container\nops:\n  - ${JSON.stringify(JSON.parse(text).ops[0])}\n`;
    const { status, body } = await submit(yaml, { options: { allocation_id: server.allocation.id } });

    expect([status, body.name]).toEqual([201, 'hello']);
    host.end(await host.agent.accept(), {});
    await reaches(body.id, 'succeeded');
  });

  it('is one job, however often it is sent under one Idempotency-Key', async () => {
    const again = { 'idempotency-key': 'once' };
    const first = await submit(hello(), {}, 'member', again);
    const second = await submit(hello(), {}, 'member', again);

    expect(second.body.id).toBe(first.body.id);
    expect((await submit(hello({ cmd: 'other' }), {}, 'member', again)).status).toBe(409);
    host.end(await host.agent.accept(), {});
    await reaches(first.body.id, 'succeeded');
  });

  it('is seen and touched by its own project alone', async () => {
    const { body } = await submit(hello());
    const task = await host.agent.accept();

    for (const [method, path] of [
      ['GET', ''],
      ['POST', '/cancel'],
      ['GET', '/document'],
      ['GET', '/logs'],
      ['DELETE', ''],
    ] as const) {
      expect((await call(method, `/api/v1/jobs/${body.id}${path}`, { as: 'stranger' })).status).toBe(404);
    }
    expect((await call('GET', '/api/v1/jobs', { as: 'stranger' })).body.items).toEqual([]);
    expect((await call('POST', `/api/v1/jobs/${body.id}/cancel`, { as: 'viewer' })).status).toBe(403);
    expect((await submit(hello(), { project_id: 'p1' }, 'stranger')).status).toBe(404);
    host.end(task, {});
    await reaches(body.id, 'succeeded');
  });

  it('is listed, newest first, by project and state and in pages', async () => {
    const names = async (query: string) =>
      (await call('GET', `/api/v1/jobs?${query}`)).body.items.map(({ id }: { id: string }) => id);
    const all = await names('project_id=p1');

    expect(all.length).toBeGreaterThan(2);
    expect(all).toEqual([...all].sort().reverse());
    expect(await names('project_id=p1&state=succeeded')).toEqual(all);
    expect(await names('state=running')).toEqual([]);
    expect(await names('project_id=p2')).toEqual([]);
    const page = (await call('GET', '/api/v1/jobs?limit=1')).body;
    expect([page.items.length, page.next]).toEqual([1, all[0]]);
    expect(await names(`limit=1&after=${page.next}`)).toEqual([all[1]]);
  });
});

describe('what a job keeps to itself', () => {
  const authentication = { docker: { username: 'ada', password: 'lovelace', email: 'a@b.c', server: registry.host } };
  const IAM = { ACCESS_KEY_ID: 'key-of-ada', SECRET_ACCESS_KEY: 'never-to-be-seen' };
  const link = 'https://s3.example.com/closed/x?X-Amz-Credential=ada-again&X-Amz-Signature=signed-by-ada';
  const resources = [
    { type: 'S3', url: 'https://s3.example.com/bucket', target: '/data', IAM },
    { type: 'S3', url: link, target: '/more' },
  ];

  it('is in no answer and not in the store, and reaches its host alone, sealed (N-28, N-39, N-40, N-45…N-48)', async () => {
    const document = definition(`${registry.host}/team/secret:1`, { authentication, resources });
    const { body, status } = await submit(document);
    expect(status).toBe(201);
    const task = await host.agent.accept();
    const kept = await store.read(async (tx) => [
      ...[
        await tx.jobs.list(),
        await tx.job_documents.list(),
        await tx.tasks.list(),
        await tx.events.list({ after: 0, limit: 999 }),
      ],
    ]);
    const shown = (await call('GET', `/api/v1/jobs/${body.id}/document`)).body;

    for (const secret of ['lovelace', 'key-of-ada', 'never-to-be-seen', 'ada-again', 'signed-by-ada']) {
      expect(JSON.stringify([kept, shown, body, await job(body.id)])).not.toContain(secret);
    }
    const { images, inputs } = task.params as JobPlan;
    const open = async (jwe = '') =>
      JSON.parse(new TextDecoder().decode((await compactDecrypt(jwe, server.keys.wrapping)).plaintext));
    expect([shown.sha256, (task.params as JobPlan).identity.document_sha256]).toEqual(
      Array(2).fill(documentHash(shown.document, {})),
    );
    expect(await open(images[0]?.credential)).toEqual({ username: 'ada', password: 'lovelace' });
    expect(await open(inputs[0]?.credential)).toEqual({
      ...{ access_key_id: 'key-of-ada', secret_access_key: 'never-to-be-seen' },
    });
    expect(inputs[1]?.source).toMatchObject({ url: 'https://s3.example.com/closed/x' });
    expect(await open(inputs[1]?.credential)).toEqual({ query: link.split('?')[1] });
    expect(shown.document.ops[0].args.resources[1].url).toBe('https://s3.example.com/closed/x?secret');
    host.end(task, {});
    await reaches(body.id, 'succeeded');
    expect((await store.read((tx) => tx.job_documents.get(body.id)))?.sealed_secrets).toBeNull();
  });

  it('is needed: without the account the image is not there for it', async () => {
    const { status, body } = await submit(definition(`${registry.host}/team/secret:1`));

    expect([status, errorsOf(body)]).toEqual([422, ['/ops/0/args/image image.unauthorized']]);
  });
});

describe('a job and the hosts of its project', () => {
  it('is refused where it will never fit, with what is missing most (N-8…N-11)', async () => {
    const gpu = { gpu: true, required_vram: 18 };
    const { status, body } = await submit(hello(gpu));
    const metaSays = (key: string, required_vram: unknown) =>
      submit({ ...hello({ gpu: true }), meta: { [key]: { required_vram } } });

    expect([status, body.error.code, body.error.recommended_action]).toEqual([422, 'job.unfit', 'ask_for_less']);
    expect(body.error.message).toContain('17166 MiB of memory on a GPU, of 1024');
    const spellings = [
      await metaSays('system_resources', 18),
      await metaSays('system_resources', '18'),
      await metaSays('system_requirements', '18'),
    ];
    expect(spellings.map((each) => each.body.error.message)).toEqual(Array(3).fill(body.error.message));
    const cores = await submit(hello(), { options: { resources: { cpu_cores: 900 } } });
    expect(cores.body.error.message).toContain('It needs 900 cores, of 8 on the host that comes nearest.');
    expect((await submit(hello(), {}, 'stranger')).body.error.message).toContain('has no active allocation');
  });

  it('waits, and says for what, until there is room; an app is counted as a neighbour, and counts jobs as theirs', async () => {
    const large = { options: { resources: { cpu_cores: 8 } } };
    const first = (await submit(hello(), large)).body;
    const task = await host.agent.accept();
    const second = (await submit(hello(), large)).body;
    await expect
      .poll(async () => (await job(second.id)).reason)
      .toBe('It waits until it can have 8 cores, of 0 that are free.');

    host.end(task, {});
    await reaches(first.id, 'succeeded');
    const next = await host.agent.accept();
    expect(next.workload_id).toBe(second.id);
    host.end(next, {});
    await reaches(second.id, 'succeeded');
  });
});

describe('a job that is cancelled', () => {
  it('while it waits is over at once', async () => {
    const elsewhere = anAllocation({ id: '0190a000-0000-7000-8000-00000000000f', name: 'no host yet' });
    await store.write((tx) => tx.allocations.insert(elsewhere));
    const { body } = await submit(hello(), { options: { allocation_id: elsewhere.id } });
    await expect.poll(async () => (await job(body.id)).reason).toContain('its project has none now');

    const cancelled = await call('POST', `/api/v1/jobs/${body.id}/cancel`, { as: 'member' });
    expect([cancelled.status, cancelled.body.state]).toEqual([202, 'cancelled']);
    expect(cancelled.body.steps[0].state).toBe('cancelled');
    expect((await call('POST', `/api/v1/jobs/${body.id}/cancel`, { as: 'member' })).body.state).toBe('cancelled');
  });

  it('while it runs is asked to end by its host, once', async () => {
    const { body } = await submit(hello());
    const task = await host.agent.accept();
    await expect.poll(async () => (await store.read((tx) => tx.tasks.get(task.task_id)))?.state).toBe('accepted');
    host.report(task, {});
    await reaches(body.id, 'running');
    for (const _ of [1, 2]) await call('POST', `/api/v1/jobs/${body.id}/cancel`, { as: 'member' });

    const control = await host.agent.accept();
    expect(control).toMatchObject({ type: 'workload.job_control', workload_id: body.id });
    const failure = new AgentError('job.cancelled').toFailure();
    host.end(task, { status: 'cancelled', failure, output: null });
    host.end(control, {});
    const over = await reaches(body.id, 'cancelled');
    expect(over).toMatchObject({ recommended_action: 'submit_again', failure: { code: 'job.cancelled' } });
    expect(await store.read((tx) => tx.tasks.count({ state: ['queued', 'leased', 'accepted'] }))).toBe(0);
  });
});

describe('a job that fails', () => {
  const lost = new AgentError('engine.unavailable').toFailure();
  const failedOutput = (step: object) =>
    jobOutput({ ...{ state: 'failed', failure: lost }, report: { ...reportOf(step), state: 'failed' } });
  const reportOf = (step: object) => ({
    ...{ summary: 'x', started_at: aStep.started_at, ended_at: null, failure: lost, state: 'running' as const },
    steps: [{ ...aStep, ...step }],
  });

  it('by no fault of its own is begun anew, and what failed stays readable until then (X-18)', async () => {
    const { body } = await submit(hello(), { options: { retries: 1 } });
    const first = await host.agent.accept();
    host.end(first, {
      status: 'failed',
      failure: lost,
      output: failedOutput({ state: 'failed', results: { seen: ['first'] } }),
    });
    await expect.poll(async () => (await job(body.id)).reason).toContain('begun again');
    const between = await job(body.id);
    expect(between).toMatchObject({ state: 'queued', shown_attempt: 1 });
    expect(between.steps[0].results).toEqual({ seen: ['first'] });

    server.pass(2000);
    // It is looked at what waits whenever something has changed.
    await store.write(async (tx) => tx.allocations.put(server.allocation));
    const second = await host.agent.accept();
    expect([first, second].map(({ params }) => (params as JobPlan).identity.attempt)).toEqual([1, 2]);
    host.report(second, { state: 'preparing', steps: [{ ...aStep, state: 'pending', started_at: null }] });
    expect((await reaches(body.id, 'preparing')).steps[0].results).toEqual({ seen: ['first'] });
    expect(await store.read((tx) => tx.job_news.get(body.id))).toMatchObject({
      ...{ attempt: 1, ahead: { attempt: 2, state: 'preparing', outputs: [] } },
    });
    host.report(second, { steps: [{ ...aStep, results: { seen: ['second'] } }] });
    const running = await reaches(body.id, 'running');
    expect([running.shown_attempt, running.steps[0].results]).toEqual([2, { seen: ['second'] }]);
    expect(await store.read((tx) => tx.job_news.get(body.id))).not.toHaveProperty('ahead');
    host.end(second, { status: 'failed', failure: lost, output: failedOutput({ state: 'failed' }) });
    expect(await reaches(body.id, 'failed')).toMatchObject({ attempt: 2, recommended_action: 'try_later' });
  }, 30_000);

  it('that is to go on from checkpoints begins anew where there is none, and says so (C-70)', async () => {
    const options = { retries: 1, checkpointing: { resume_from_latest: true } };
    const { body } = await submit(hello(), { options });
    expect((await job(body.id)).options).toMatchObject({ checkpointing: { resume_from_latest: true } });
    host.end(await host.agent.accept(), { status: 'failed', failure: lost, output: failedOutput({ state: 'failed' }) });
    await expect.poll(async () => (await job(body.id)).reason).toContain('begun again');

    server.pass(2000);
    await store.write(async (tx) => tx.allocations.put(server.allocation));
    const second = await host.agent.accept();

    const { items } = (await call('GET', `/api/v1/jobs/${body.id}/events`)).body;
    const given = items.filter(({ type }: { type: string }) => type === 'job.dispatched');
    expect(given.map(({ message }: { message: string }) => message.includes('begins anew'))).toEqual([false, true]);
    host.end(second, { status: 'failed', failure: lost, output: failedOutput({ state: 'failed' }) });
    await reaches(body.id, 'failed');
  }, 30_000);

  it('by its own fault has failed, retries or not', async () => {
    const { body } = await submit(hello(), { options: { retries: 3 } });
    const failure = new AgentError('step.failed', { step: 'hello', exit_code: 3 }).toFailure();
    host.end(await host.agent.accept(), {
      status: 'failed',
      failure,
      output: failedOutput({ state: 'failed', exit_code: 3 }),
    });

    const over = await reaches(body.id, 'failed');
    expect(over).toMatchObject({ attempt: 1, failure: { code: 'step.failed' }, recommended_action: 'correct' });
    expect(over.steps[0].exit_code).toBe(3);
  });
});

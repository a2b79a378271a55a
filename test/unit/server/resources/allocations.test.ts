import { describe, expect, it } from 'vitest';
import { TaskQueue } from '../../../../src/server/hub/task-queue.ts';
import { endIfEmpty, releasing } from '../../../../src/server/resources/release-allocation.ts';
import { aNode, inventory, runtimeStatus } from '../../../support/launch-samples.ts';
import { recordingSink } from '../../../support/recording-sink.ts';
import { anAllocation, anInstance } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const { store, call } = await testServer();
const shape = { gpu_count: 1, cpu_cores: 8, memory_gib: 32 };
const give = (project_id: string, more: object = {}) =>
  call('POST', '/api/v1/allocations', { as: 'operator', body: { project_id, name: 'host', shape, ...more } });

describe('/api/v1/allocations', () => {
  it('gives an allocation to a project, with a UUID as its name', async () => {
    const { status, body } = await give('p1', { ssh: { host: 'gpu1.example.com', port: 22, user: 'tenant' } });

    expect(status).toBe(201);
    expect(body).toMatchObject({ project_id: 'p1', state: 'active', shape, data_policy: 'keep', node_id: null });
    expect(body.id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('shows each project its own, and the platform all of them', async () => {
    const { body: mine } = await give('p1');
    const { body: theirs } = await give('p2');
    const ids = async (as: string, query = '') =>
      (await call('GET', `/api/v1/allocations${query}`, { as })).body.items.map(({ id }: { id: string }) => id);

    expect(await ids('member')).toContain(mine.id);
    expect(await ids('member')).not.toContain(theirs.id);
    expect(await ids('operator')).toEqual(expect.arrayContaining([mine.id, theirs.id]));
    expect(await ids('operator', '?project_id=p2')).toEqual([theirs.id]);
    expect((await call('GET', `/api/v1/allocations/${theirs.id}`, { as: 'member' })).status).toBe(404);
  });

  it('comes in pages that end', async () => {
    const { body: first } = await call('GET', '/api/v1/allocations?limit=1', { as: 'operator' });
    const seen = [...first.items];
    let { next } = first;
    while (next !== null) {
      const { body } = await call('GET', `/api/v1/allocations?limit=1&after=${next}`, { as: 'operator' });
      seen.push(...body.items);
      next = body.next;
    }

    expect(seen.map(({ id }) => id)).toEqual(
      (await store.read((tx) => tx.allocations.list({ order: 'newest' }))).map(({ id }) => id),
    );
  });

  it('changes what may change, while it is active', async () => {
    const { body } = await give('p1');
    const path = `/api/v1/allocations/${body.id}`;

    const changed = await call('PATCH', path, { as: 'operator', body: { project_storage: true } });
    await call('POST', `${path}/end`, { as: 'operator' });
    const late = await call('PATCH', path, { as: 'operator', body: { name: 'late' } });

    expect(changed.body).toEqual({ ...body, project_storage: true });
    expect(late.body.error).toMatchObject({ code: 'resource.conflict', message: expect.stringContaining('ended') });
    expect((await call('PATCH', path, { as: 'operator', body: { state: 'ended' } })).body.error.errors).toMatchObject([
      { path: '/state', code: 'unknown_key' },
    ]);
  });

  it('shows what it promises beyond its host as soon as that is known, and is changed only to what the host has', async () => {
    const { body } = await give('p1', { shape: { gpu_count: 1, cpu_cores: 8, memory_gib: 32 } });
    const path = `/api/v1/allocations/${body.id}`;
    const amount = (total: number, reserved: number) => ({ total, reserved, used: 0, free: 0 });
    const resources = { cpu_cores: amount(8, 0.5), memory_gib: amount(64, 1), disk_gib: amount(1, 0) };
    const change = (given: object) => call('PATCH', path, { as: 'operator', body: { shape: { ...shape, ...given } } });
    const enlarged = await change({ cpu_cores: 16, memory_gib: 65 });

    await store.write(async (tx) => {
      const runtime = runtimeStatus({ resources });
      await tx.nodes.insert(aNode({ allocation_id: body.id, runtime: null, inventory: inventory({ runtime }) }));
      await tx.allocations.put(anAllocation({ id: body.id, shape: enlarged.body.shape, node_id: 'node-1' }));
    });
    const shown = await call('GET', path, { as: 'member' });
    const [listed] = (await call('GET', '/api/v1/allocations?limit=1', { as: 'member' })).body.items;
    const refused = await change({ gpu_count: 2, cpu_cores: 8 });
    const fitting = await change({ cpu_cores: 7, memory_gib: 63 });

    expect([body.excess, enlarged.body.excess]).toEqual([[], []]);
    expect(shown.body.excess).toEqual([
      { name: 'cpu_cores', asked: 16, have: 7.5 },
      { name: 'memory_gib', asked: 65, have: 63 },
    ]);
    expect(listed.excess).toEqual(shown.body.excess);
    expect(refused).toMatchObject({ status: 409, body: { error: { code: 'resource.exceeds_host' } } });
    expect(refused.body.error.errors).toMatchObject([
      { path: '/shape/gpu_count', message: 'is 2, and the host has 1 for workloads' },
      { path: '/shape/cpu_cores', message: 'is 8, and the host has 7.5 for workloads' },
    ]);
    expect(fitting).toMatchObject({ status: 200, body: { excess: [], shape: { cpu_cores: 7 } } });
  });

  it('is the business of the platform', async () => {
    const { body } = await give('p1');

    const answers = await Promise.all(
      ['member', 'viewer'].flatMap((as) => [
        call('POST', '/api/v1/allocations', { as, body: { project_id: 'p1', name: 'x', shape } }),
        call('POST', `/api/v1/allocations/${body.id}/end`, { as }),
      ]),
    );

    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
  });

  it('ends once, however often it is asked to', async () => {
    const { body } = await give('p1');

    const first = await call('POST', `/api/v1/allocations/${body.id}/end`, { as: 'operator' });
    const second = await call('POST', `/api/v1/allocations/${body.id}/end`, { as: 'operator' });

    expect(first).toMatchObject({ status: 202, body: { state: 'ended', ended_at: expect.any(String) } });
    expect(second.body).toEqual(first.body);
    const events = await store.read((tx) => tx.events.list({ after: 0, limit: 100, subject_id: body.id }));
    expect(events.map(({ type }) => type)).toEqual(['allocation.created', 'allocation.releasing', 'allocation.ended']);
  });
});

describe('the end of an allocation', () => {
  const cause = { now: Date.parse('2026-11-25T12:00:00.000Z'), correlationId: 'c1', who: { actor: 'token:t1' } };
  const id = '0190a000-0000-7000-8000-00000000000f';

  it('asks for the end of each instance, and comes with the last of them', async () => {
    const asked: string[] = [];
    const queue = new TaskQueue(recordingSink());
    const release = releasing(async (_tx, _cause, instance) => {
      asked.push(instance.id);
    }, queue);
    await store.write(async (tx) => {
      await tx.allocations.insert(anAllocation({ id }));
      await tx.app_instances.insert(anInstance({ id: 'i1', allocation_id: id, state: 'running' }));
      await tx.app_instances.insert(anInstance({ id: 'i2', allocation_id: id, state: 'decommissioned' }));
    });

    const begun = await store.write((tx) => release(tx, cause, anAllocation({ id })));
    await store.write((tx) => endIfEmpty(tx, queue, cause, id));
    const waiting = await store.read((tx) => tx.allocations.get(id));
    await store.write(async (tx) => {
      await tx.app_instances.put(anInstance({ id: 'i1', allocation_id: id, state: 'decommissioned' }));
      await endIfEmpty(tx, queue, cause, id);
    });

    expect(asked).toEqual(['i1']);
    expect([begun.state, waiting?.state]).toEqual(['releasing', 'releasing']);
    expect(await store.read((tx) => tx.allocations.get(id))).toMatchObject({
      ...{ state: 'ended', ended_at: '2026-11-25T12:00:00.000Z' },
    });
  });
});

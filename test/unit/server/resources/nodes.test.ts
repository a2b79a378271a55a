import { beforeEach, describe, expect, it } from 'vitest';
import { aNode as aNodeWith } from '../../../support/launch-samples.ts';
import { anAllocation, aTask } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const { store, call } = await testServer();
const aNode = (given: Parameters<typeof aNodeWith>[0]) => aNodeWith({ allocation_id: anAllocation().id, ...given });
const theirs = '0190a000-0000-7000-8000-000000000002';

beforeEach(async () => {
  await store.write(async (tx) => {
    for (const name of ['nodes', 'allocations', 'tasks', 'join_tokens'] as const) {
      for (const { id } of await tx[name].list()) {
        await tx[name].delete(id);
      }
    }
    await tx.allocations.insert(anAllocation());
    await tx.allocations.insert(anAllocation({ id: theirs, project_id: 'p2' }));
    await tx.nodes.insert(aNode({ id: 'n1' }));
    await tx.nodes.insert(aNode({ id: 'n2', allocation_id: theirs }));
  });
});
const act = (id: string, action: string, body?: object, as = 'operator') =>
  call('POST', `/api/v1/nodes/${id}/${action}`, { as, ...(body ? { body } : {}) });

describe('/api/v1/nodes', () => {
  it('shows a project the nodes of its allocations, and the platform all', async () => {
    const ids = async (as: string, query = '') =>
      (await call('GET', `/api/v1/nodes${query}`, { as })).body.items.map(({ id }: { id: string }) => id);

    expect(await ids('operator')).toEqual(['n2', 'n1']);
    expect(await ids('viewer')).toEqual(['n1']);
    expect(await ids('viewer', `?allocation_id=${theirs}`)).toEqual([]);
    expect((await call('GET', '/api/v1/nodes/n2', { as: 'viewer' })).status).toBe(404);
  });

  it('shows no key and no hash', async () => {
    const { body } = await call('GET', '/api/v1/nodes/n1');

    expect(body).toMatchObject({ id: 'n1', connected: false });
    expect(Object.keys(body).filter((key) => /key|hash|bearer/.test(key))).toEqual([]);
  });

  it('drains a node once: a task tells it, and the other way round', async () => {
    const first = await act('n1', 'drain', { drain: true });
    await act('n1', 'drain', { drain: true });
    await act('n1', 'drain', { drain: false });

    const tasks = await store.read((tx) => tx.tasks.list({ where: { node_id: 'n1' } }));
    expect(first.body.drain).toBe(true);
    expect(tasks.map(({ type, params }) => [type, (params as { drain: boolean }).drain])).toEqual([
      ['agent.drain', true],
      ['agent.drain', false],
    ]);
  });

  it('revokes a node for good: its bearer is gone and its tasks end', async () => {
    await store.write((tx) => tx.tasks.insert(aTask({ state: 'accepted', instance_id: null, purpose: 'drain' })));

    const { body } = await act('n1', 'revoke');

    expect(body.status).toBe('revoked');
    expect(await store.read((tx) => tx.nodes.get('n1'))).toMatchObject({ bearer_hash: null });
    expect(await store.read((tx) => tx.tasks.get('t1'))).toMatchObject({
      state: 'ended',
      result: { status: 'failed' },
    });
    expect((await act('n1', 'release')).status).toBe(409);
  });

  it('releases a node from quarantine, and only from there', async () => {
    await store.write((tx) => tx.nodes.put(aNode({ id: 'n1', status: 'quarantined', status_reason: 'Two hosts.' })));

    const released = await act('n1', 'release');

    expect(released.body).toMatchObject({ status: 'enrolled', status_reason: null });
    expect((await act('n1', 'release')).body.error.code).toBe('resource.conflict');
  });

  it.each(['drain', 'revoke', 'release'])('leaves %s to the platform', async (action) => {
    const body = action === 'drain' ? { drain: true } : undefined;

    expect((await act('n1', action, body, 'member')).status).toBe(403);
    expect((await act('n9', action, body)).status).toBe(404);
  });
});

describe('/api/v1/nodes/join-tokens', () => {
  const make = (body: object, headers: Record<string, string> = {}, as = 'operator') =>
    call('POST', '/api/v1/nodes/join-tokens', { as, body, headers });

  it('makes a token for one allocation, shows it once and keeps a hash', async () => {
    const key = { 'idempotency-key': 'join' };
    const first = await make({ allocation_id: theirs }, key);
    const second = await make({ allocation_id: theirs }, key);

    expect(first).toMatchObject({ status: 201, body: { allocation_id: theirs, used_at: null } });
    expect(first.body.token).toMatch(/^[a-z0-9]{16}\.[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}$/);
    expect(second.body).toEqual(first.body);
    const kept = JSON.stringify(await store.read((tx) => tx.join_tokens.list()));
    expect(kept).toContain(first.body.id);
    expect(kept).not.toContain(first.body.token.split('.')[1]);
  });

  it('lets it live for an hour at most', async () => {
    const { body } = await make({ allocation_id: theirs });

    expect(Date.parse(body.expires_at) - Date.parse(body.created_at)).toBe(3_600_000);
    expect((await make({ allocation_id: theirs, expires_in_seconds: 3601 })).status).toBe(400);
  });

  it('makes none for an allocation that has a node, and says the way: revoke it first', async () => {
    await store.write((tx) => tx.allocations.put(anAllocation({ id: theirs, project_id: 'p2', node_id: 'n2' })));

    const refused = await make({ allocation_id: theirs });
    await act('n2', 'revoke');
    const made = await make({ allocation_id: theirs });

    expect(refused.body.error).toMatchObject({
      code: 'resource.conflict',
      message: expect.stringContaining('revoke it first: gpuaas nodes revoke n2.'),
    });
    expect(await store.read((tx) => tx.join_tokens.count())).toBe(1);
    expect(made.status).toBe(201);
  });

  it('makes none for an allocation that ends, and none for members', async () => {
    await store.write((tx) => tx.allocations.put(anAllocation({ id: theirs, project_id: 'p2', state: 'releasing' })));

    expect((await make({ allocation_id: theirs })).body.error.code).toBe('resource.conflict');
    expect((await make({ allocation_id: 'a9' })).status).toBe(404);
    expect((await make({ allocation_id: theirs }, {}, 'member')).status).toBe(403);
  });
});

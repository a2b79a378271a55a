/** The whole way, with a real agent on a real wire, is in integration/wire-identity. */
import { beforeEach, expect, it } from 'vitest';
import type { Tx } from '../../../../src/server/db/store.ts';
import { nodeKeyRoutes } from '../../../../src/server/resources/node-keys.ts';
import { aNode } from '../../../support/launch-samples.ts';
import { anAllocation, aTask } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const { store, call } = await testServer();
const path = '/api/v1/nodes/n1/rotate-keys';

beforeEach(async () => {
  await store.write(async (tx) => {
    for (const name of ['nodes', 'tasks'] as const) {
      for (const { id } of await tx[name].list()) await tx[name].delete(id);
    }
    await tx.nodes.insert(aNode({ id: 'n1' }));
  });
});

const rotation = (given: object) =>
  aTask({ id: 't1', node_id: 'n1', instance_id: null, purpose: 'rotate_keys', ...given });

it('shows the keys that receipts are signed with, the next one of a rotation included, to whoever may see the node', async () => {
  const key = (x: string) => ({ kty: 'OKP', crv: 'Ed25519', x: x.repeat(43) }) as const;
  const allocation = anAllocation({ project_id: 'p1' });
  const until = '2026-06-01T00:00:00.000Z';
  const next_keys = { identity_key: key('C'), wrapping_key: { ...key('D'), crv: 'X25519' as const } };
  const keys = { identity_key: key('B'), former_keys: [{ key: key('A'), until }], next_keys };
  await store.write(async (tx) => {
    await tx.allocations.insert(allocation);
    await tx.nodes.insert(aNode({ id: 'n2', allocation_id: allocation.id, ...keys }));
  });

  const seen = await call('GET', '/api/v1/nodes/n2/keys', { as: 'viewer' });
  const shown = await call('GET', '/api/v1/nodes/n2', { as: 'viewer' });

  expect(seen.body).toEqual({
    node_id: 'n2',
    keys: [
      { key: key('A'), until },
      { key: key('B'), until: null },
      { key: key('C'), until: null },
    ],
  });
  expect(shown.body).not.toHaveProperty('former_keys');
  expect((await call('GET', '/api/v1/nodes/n2/keys', { as: 'stranger' })).status).toBe(404);
});

it('is asked of a node that is there, by the platform alone', async () => {
  const away = await call('POST', path, { as: 'operator' });

  expect([away.status, away.body.error.code]).toEqual([409, 'resource.conflict']);
  expect(await store.read((tx) => tx.tasks.count())).toBe(0);
  expect((await call('POST', path, { as: 'member' })).status).toBe(403);
  expect((await call('POST', '/api/v1/nodes/n9/rotate-keys', { as: 'operator' })).status).toBe(404);
});

it('shows how one gets on, and no other task', async () => {
  await store.write(async (tx) => {
    await tx.tasks.insert(rotation({}));
    await tx.tasks.insert(rotation({ id: 't2', fencing: 9, purpose: 'drain' }));
  });

  expect((await call('GET', `${path}/t1`, { as: 'operator' })).body).toEqual({
    ...{ task_id: 't1', state: 'waiting', failure: null },
  });
  expect((await call('GET', `${path}/t2`, { as: 'operator' })).status).toBe(404);
});

it('asks for nothing new while the node is at one, and is told as an event when it asks', async () => {
  let asked = 0;
  const rotateKeys = async (tx: Tx) => {
    asked += 1;
    await tx.tasks.insert(rotation({}));
    return 't1';
  };
  const routes = nodeKeyRoutes({ isConnected: () => true, rotateKeys }, async () => aNode());
  const post = routes.find(({ method }) => method === 'POST');
  const ask = () =>
    store.write(async (tx) => {
      const asking = { params: { node_id: 'n1' }, now: Date.now(), correlationId: 'c1', who: { actor: 'token:a' } };
      // biome-ignore lint/suspicious/noExplicitAny: a route is run by the server, which makes what it is given.
      return await (post as any).change(asking, tx);
    });

  const bodies = [(await ask()).body, (await ask()).body];

  expect([asked, bodies[0]]).toEqual([1, bodies[1]]);
  const events = await store.read((tx) => tx.events.list({ after: 0, limit: 100 }));
  expect(events.filter(({ type }) => type === 'node.rotating_keys')).toHaveLength(1);
});

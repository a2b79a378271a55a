/** The whole way, with a real agent on a real wire, is in integration/wire-diagnostics. */
import { beforeEach, expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import { aNode } from '../../../support/launch-samples.ts';
import { anAllocation, aTask } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const { store, call } = await testServer();
const bundle = { collected_at: '2026-11-26T11:00:00.000Z', files: [{ name: 'about.json', text: '{}' }], left_out: [] };
const path = '/api/v1/nodes/n1/diagnostics';
const time = '2026-11-25T10:00:00.000Z';

beforeEach(async () => {
  await store.write(async (tx) => {
    for (const name of ['nodes', 'allocations', 'tasks'] as const) {
      for (const { id } of await tx[name].list()) await tx[name].delete(id);
    }
    await tx.allocations.insert(anAllocation());
    await tx.nodes.insert(aNode({ id: 'n1', allocation_id: anAllocation().id }));
  });
});

async function asked(result: object | null) {
  const task = aTask({ ...{ id: 't1', node_id: 'n1', instance_id: null, purpose: 'diagnose' } });
  const ended = { started_at: time, finished_at: time, output: null, failure: null, task_id: 't1', ...result };
  const kept = result === null ? task : { ...task, state: 'ended', result: ended, ended_at: time };
  await store.write((tx) => tx.tasks.insert(kept as typeof task));
  return await call('GET', `${path}/t1`, { as: 'operator' });
}

it('shows what a node has collected, or why it has not', async () => {
  const { body } = await asked({ status: 'succeeded', output: bundle });

  expect(body).toEqual({ task_id: 't1', state: 'ended', bundle, failure: null });
});

it('shows that it is waited for, and what became of one that failed', async () => {
  expect((await asked(null)).body).toEqual({ task_id: 't1', state: 'waiting', bundle: null, failure: null });
  await store.write((tx) => tx.tasks.delete('t1'));
  const failure = new AgentError('task.unsupported').toFailure();
  expect((await asked({ status: 'rejected', failure })).body).toMatchObject({
    bundle: null,
    failure: { code: 'task.unsupported' },
  });
});

it('is for the platform alone, and for tasks of that kind and node', async () => {
  await store.write((tx) =>
    tx.tasks.insert(aTask({ id: 't2', fencing: 9, node_id: 'n1', instance_id: null, purpose: 'drain' })),
  );
  await asked({ status: 'succeeded', output: bundle });

  expect((await call('GET', `${path}/t1`, { as: 'member' })).status).toBe(403);
  expect((await call('POST', path, { as: 'member', body: {} })).status).toBe(403);
  expect((await call('GET', `${path}/t2`, { as: 'operator' })).status).toBe(404);
  expect((await call('GET', '/api/v1/nodes/n2/diagnostics/t1', { as: 'operator' })).status).toBe(404);
});

it('asks nobody who is not there: the host can do it by itself', async () => {
  const { status, body } = await call('POST', path, { as: 'operator', body: { tasks: 3 } });

  expect([status, body.error.code]).toEqual([409, 'resource.conflict']);
  expect(body.error.message).toContain('doctor --bundle');
  expect(await store.read((tx) => tx.tasks.count())).toBe(0);
  expect((await call('POST', '/api/v1/nodes/n9/diagnostics', { as: 'operator', body: {} })).status).toBe(404);
});

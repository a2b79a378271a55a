import { beforeEach, describe, expect, it, vi } from 'vitest';
import { aNode } from '../../../support/launch-samples.ts';
import { anAllocation } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const { store, call, context } = await testServer();
const theirs = '0190a000-0000-7000-8000-000000000002';
await store.write(async (tx) => {
  await tx.allocations.insert(anAllocation());
  await tx.allocations.insert(anAllocation({ id: theirs, project_id: 'p2' }));
  await tx.nodes.insert(aNode({ id: 'n1', allocation_id: anAllocation().id }));
  await tx.nodes.insert(aNode({ id: 'n2', allocation_id: theirs }));
});
const connected = vi.spyOn(context.hub, 'isConnected');
beforeEach(() => connected.mockReturnValue(true));

const probe = (id: string, as = 'member') => call('POST', `/api/v1/nodes/${id}/probe`, { as });

describe('POST /api/v1/nodes/{node_id}/probe', () => {
  it('asks the host what a launch would ask it, once for all who want to know (G-234)', async () => {
    const answers = [await probe('n1'), await probe('n1', 'operator')];

    const tasks = await store.read((tx) => tx.tasks.list({ where: { node_id: 'n1' } }));
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    expect(tasks).toMatchObject([
      { type: 'workload.oci_runtime_status', purpose: 'preflight', params: {}, id: answers[0]?.body.task_id },
    ]);
    expect(answers[1]?.body.task_id).toBe(answers[0]?.body.task_id);
    expect(answers[0]?.body).toMatchObject({ asked_at: '2026-11-25T10:00:00.000Z', seconds: 120 });
  });

  it('asks nobody who is away', async () => {
    connected.mockReturnValue(false);

    expect((await probe('n1')).body.error.code).toBe('node.away');
  });

  it('is for those who may launch there', async () => {
    const answers = [await probe('n2'), await probe('n1', 'viewer'), await probe('none')];

    expect(answers.map(({ status }) => status)).toEqual([404, 403, 404]);
    expect(await store.read((tx) => tx.tasks.list({ where: { node_id: 'n2' } }))).toEqual([]);
  });
});

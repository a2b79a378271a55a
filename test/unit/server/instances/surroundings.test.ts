import { describe, expect, it } from 'vitest';
import { viewAmong, viewOf } from '../../../../src/server/instances/instance-view.ts';
import { lookingAround } from '../../../../src/server/instances/surroundings.ts';
import { counting } from '../../../support/counting-store.ts';
import { aNode, anApp, anArtifact, aVersion } from '../../../support/launch-samples.ts';
import { anAllocation, anInstance } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const { store, call } = await testServer();
await store.write(async (tx) => {
  await tx.allocations.insert(anAllocation({ node_id: 'n1' }));
  await tx.nodes.insert(aNode({ id: 'n1' }));
  await tx.apps.insert(anApp());
  await tx.app_versions.insert(aVersion());
  await tx.artifacts.insert(anArtifact());
  for (let at = 0; at < 500; at += 1) {
    await tx.app_instances.insert(anInstance({ id: `i-${at}`, artifact_id: 'artifact-cpu' }));
  }
});

describe('a list of instances', () => {
  it('asks the store for what they stand on once, however many there are', async () => {
    const asked: string[] = [];

    await store.read(async (tx) => {
      const look = lookingAround(counting(tx, asked));
      for (const instance of await tx.app_instances.list()) viewAmong(await look(instance), instance);
    });

    // The one question for a version lists, inside of the store.
    expect(asked.toSorted()).toEqual([
      'allocations.get',
      'app_versions.find',
      'apps.get',
      'artifacts.get',
      'nodes.get',
    ]);
  });

  it('shows each as it is shown alone', async () => {
    const { body } = await call('GET', '/api/v1/app-instances?limit=50', { as: 'member' });
    const alone = await store.read(async (tx) => {
      const instance = await tx.app_instances.get(body.items[7].id);
      return instance && viewOf(tx, instance);
    });

    expect(body.items).toHaveLength(50);
    expect(body.items[7]).toEqual(JSON.parse(JSON.stringify(alone)));
  });

  it('says of each whom it is billed to, and for what (G-136, G-227)', async () => {
    const { body } = await call('GET', '/api/v1/app-instances/i-1', { as: 'viewer' });

    expect(body).toMatchObject({
      billing: { project_id: 'p1', allocation_id: anAllocation().id, gpu_count: 0, periods: [] },
      resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
    });
    expect(JSON.stringify(body)).not.toMatch(/yaml|compose_file/i);
  });
});

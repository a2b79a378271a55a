import { beforeAll, describe, expect, it } from 'vitest';
import type { Allocation } from '../../../../src/server/db/entities/allocation.ts';
import type { LaunchRequest } from '../../../../src/server/launch/launch-request.ts';
import { loadPlaces } from '../../../../src/server/launch/load-facts.ts';
import { counting } from '../../../support/counting-store.ts';
import { sampleGpu } from '../../../support/gpus.ts';
import { aNode, anApp, anArtifact, aRequest, aVersion, runtimeStatus } from '../../../support/launch-samples.ts';
import { jupyterProfile } from '../../../support/profiles.ts';
import { anAllocation, anInstance } from '../../../support/store-samples.ts';
import { type TestServer, testServer } from '../../../support/test-server.ts';

const path = '/api/v1/catalog/apps/jupyterlab/versions/2026.04-preview/launch-options';
const idOf = (number: number) => `0190a000-0000-7000-8000-${number.toString().padStart(12, '0')}`;
const large = { gpu_count: 2, cpu_cores: 8, memory_gib: 8 };
const [cards, plain, busy, away, draining, releasing, foreign] = [1, 2, 3, 4, 5, 6, 7].map(idOf) as [
  ...[string, string, string, string, string, string, string],
];
const h200 = sampleGpu({ uuid: 'GPU-1', name: 'NVIDIA H200' });
let server: TestServer;

beforeAll(async () => {
  server = await testServer();
  await server.store.write(async (tx) => {
    const place = async (id: string, given: Partial<Allocation>, node?: Parameters<typeof aNode>[0]) => {
      const node_id = node ? `node-${id.slice(-1)}` : null;
      await tx.allocations.insert(anAllocation({ id, shape: { ...large, gpu_count: 0 }, node_id, ...given }));
      if (node_id !== null) await tx.nodes.insert(aNode({ id: node_id, allocation_id: id, ...node }));
    };
    const withCards = runtimeStatus({ gpus: [h200, sampleGpu({ uuid: 'GPU-2', name: 'NVIDIA H200', held_by: 'x' })] });
    const withoutCards = runtimeStatus({ gpus: [] });
    await place(cards, { shape: large, project_storage: true }, { runtime: withCards });
    await place(plain, {}, { runtime: withoutCards });
    await place(busy, {}, { runtime: withoutCards });
    await place(away, {});
    await place(draining, {}, { runtime: withoutCards, drain: true });
    await place(releasing, { state: 'releasing' }, { runtime: withoutCards });
    await place(foreign, { project_id: 'p2' }, { runtime: withoutCards });
    await tx.apps.insert(anApp());
    const options = '/parameters/schema/properties/exposure_mode/enum';
    await tx.app_versions.insert(aVersion({ manifest: jupyterProfile({ [options]: ['private', 'platform_proxy'] }) }));
    const digest = (letter: string) => ({ digest: `sha256:${letter.repeat(64)}` });
    await tx.artifacts.insert(anArtifact({ id: 'cpu-1', lifecycle: 'published', ...digest('1') }));
    await tx.artifacts.insert(anArtifact({ id: 'cpu-2', lifecycle: 'promoted', ...digest('2') }));
    await tx.artifacts.insert(anArtifact({ id: 'cpu-3', lifecycle: 'published', ...digest('3') }));
    await tx.artifacts.insert(anArtifact({ id: 'cpu-4', lifecycle: 'retired', ...digest('4') }));
    await tx.artifacts.insert(anArtifact({ id: 'cpu-5', trust: 'unverified', ...digest('5') }));
    await tx.artifacts.insert(anArtifact({ id: 'h200', name: 'runtime-nvidia-h200', ...digest('6') }));
    const at = '2026-11-25T10:00:00.000Z';
    await tx.entitlements.insert({
      ...{ id: 'e1', app_slug: 'jupyterlab', project_id: 'p1', created_by: 'seed', created_at: at },
    });
    const resources = { gpu_count: 0, cpu_cores: 7, memory_gib: 1 };
    await tx.app_instances.insert(anInstance({ id: 'i1', allocation_id: busy, resources, host_ports: { web: 8888 } }));
    await tx.app_instances.insert(anInstance({ id: 'i2', allocation_id: plain, host_ports: { web: 8888 } }));
    await tx.app_instances.insert(
      anInstance({ id: 'i3', allocation_id: plain, state: 'stopped', host_ports: { web: 8889 } }),
    );
  });
});

async function options(query: Record<string, string> = {}, as = 'member') {
  const { status, body } = await server.call('GET', `${path}?${new URLSearchParams(query)}`, { as });
  expect(status).toBe(200);
  return body;
}

interface Option {
  readonly id: string;
  readonly eligible: boolean;
  readonly reasons: readonly string[];
}

describe('launch options', () => {
  it('list the living allocations of the project with what speaks against each, and nobody else’s (G-60, G-146)', async () => {
    const { allocations } = await options();
    const reasons = Object.fromEntries(allocations.map(({ id, reasons: why }: Option) => [id, why]));

    expect(Object.keys(reasons).toSorted()).toEqual([cards, plain, busy, away, draining, releasing]);
    expect(reasons[cards]).toEqual([]);
    expect(reasons[plain]).toEqual([]);
    expect(reasons[busy]).toEqual([expect.stringContaining('Cores: 2 asked for, 1 of 8 free.')]);
    expect(reasons[away]).toEqual([expect.stringContaining('No host has enrolled for it.')]);
    expect(reasons[draining]).toEqual([expect.stringContaining('It is draining.')]);
    expect(reasons[releasing]).toEqual([expect.stringContaining('It is releasing.')]);
  });

  it('tell what of each is free, of the allocation, of its host and of its cards', async () => {
    const { allocations } = await options();
    const of = (id: string) => allocations.find((each: Option) => each.id === id);

    expect(of(cards)).toMatchObject({
      ...{ name: 'host one', project_storage: true, total: large, node: { name: 'host-1', connected: false } },
      cards: [
        { vendor: 'nvidia', name: 'NVIDIA H200', free: true },
        { vendor: 'nvidia', name: 'NVIDIA H200', free: false },
      ],
      free: { gpu_count: 1, cpu_cores: 8, memory_gib: 8 },
    });
    expect(of(busy)).toMatchObject({ free: { gpu_count: 0, cpu_cores: 1, memory_gib: 7 } });
    expect(of(away)).toMatchObject({ node: null, free: null, cards: [] });
  });

  it('judge the allocations by the number of cards that was chosen (G-61)', async () => {
    const eligible = async (gpu_count: string) => {
      const { allocations } = await options({ gpu_count });
      return allocations.filter((each: Option) => each.eligible).map(({ id }: Option) => id);
    };

    expect(await eligible('0')).toEqual([plain, cards]);
    expect(await eligible('1')).toEqual([cards]);
    expect(await eligible('2')).toEqual([]);
  });

  it('offer the images for the chosen allocation and cards, a promoted one first of all (G-61)', async () => {
    const offered = async (query: Record<string, string>) => {
      const { artifacts } = await options(query);
      return artifacts.map(({ id, preferred }: { id: string; preferred: boolean }) => (preferred ? `${id}!` : id));
    };

    expect(await offered({ allocation_id: plain, gpu_count: '0' })).toEqual(['cpu-3', 'cpu-2!', 'cpu-1']);
    expect(await offered({ allocation_id: cards, gpu_count: '1' })).toEqual(['h200!']);
    expect(await offered({ allocation_id: cards, gpu_count: '0' })).toEqual(['cpu-3', 'cpu-2!', 'cpu-1']);
    expect(await offered({})).toEqual(['h200!', 'cpu-3', 'cpu-2', 'cpu-1']);
  });

  it('say which choices cannot be had, with the reason that a launch would be refused for (G-54, G-140, G-220)', async () => {
    const unavailable = async (query: Record<string, string>) => (await options(query)).unavailable;
    const proxy = {
      ...{ pointer: '/config/exposure_mode', value: 'platform_proxy' },
      reason: expect.stringContaining('Supported: private.'),
    };
    const storage = {
      ...{ pointer: '/config/workspace_mount', value: 'project_storage' },
      reason: expect.stringContaining('storage'),
    };

    expect(await unavailable({ allocation_id: plain })).toEqual([storage, proxy]);
    expect(await unavailable({ allocation_id: cards })).toEqual([proxy]);
    expect(await unavailable({})).toEqual([proxy]);
  });

  it('suggest a port that nobody on the allocation has (G-55)', async () => {
    expect((await options({ allocation_id: plain })).host_ports).toEqual({
      ...{ taken: [8888, 8889], suggested: { '/config/host_port': 8890 } },
    });
    expect((await options({ allocation_id: cards })).host_ports).toEqual({
      ...{ taken: [], suggested: { '/config/host_port': 8888 } },
    });
  });

  it('are what the checks of a launch say: what is offered is accepted, what is not is refused', async () => {
    for (const gpu_count of [0, 1, 2]) {
      const { allocations } = await options({ gpu_count: String(gpu_count) });
      for (const { id, eligible } of allocations as Option[]) {
        const { artifacts, host_ports } = await options({ allocation_id: id, gpu_count: String(gpu_count) });
        const artifact = artifacts.find(({ preferred }: { preferred: boolean }) => preferred);
        const body: LaunchRequest = aRequest({
          ...{ placement_intent: { target_allocation_id: id }, artifact_id: artifact.id },
          config: { host_port: host_ports.suggested['/config/host_port'] },
          resource_overrides: { gpu_count, cpu_cores: 2, memory_gib: 4 },
        });
        const checked = await server.call('POST', '/api/v1/app-instances/checks', { as: 'member', body });

        expect([id, gpu_count, checked.body.accepted]).toEqual([id, gpu_count, eligible]);
      }
    }
  });

  it('are nobody’s business who may not launch the app or see project and allocation', async () => {
    const status = async (query: string, as: string) => (await server.call('GET', `${path}?${query}`, { as })).status;

    expect(await status('', 'viewer')).toBe(200);
    expect(await status('', 'stranger')).toBe(403);
    expect(await status(`allocation_id=${foreign}`, 'member')).toBe(404);
    expect(await status('project_id=p2', 'member')).toBe(404);
    expect(await status('', 'operator')).toBe(400);
    expect(await status('project_id=p1', 'operator')).toBe(200);
  });
});

describe('loadPlaces', () => {
  it('asks the store as often for two hundred allocations with five hundred instances as for one', async () => {
    const questions = async (allocations: number, instances: number) => {
      const { store } = await testServer();
      await store.write(async (tx) => {
        for (let at = 0; at < allocations; at += 1) {
          const node_id = `node-${at}`;
          const gpus = [sampleGpu({ held_by: `i-${at}` })];
          await tx.allocations.insert(anAllocation({ id: idOf(at), node_id }));
          await tx.nodes.insert(aNode({ id: node_id, allocation_id: idOf(at), runtime: runtimeStatus({ gpus }) }));
        }
        for (let at = 0; at < instances; at += 1) {
          await tx.app_instances.insert(anInstance({ id: `i-${at}`, allocation_id: idOf(at % allocations) }));
        }
      });
      return store.read(async (tx) => {
        const asked: string[] = [];
        const places = await loadPlaces(counting(tx, asked), 'p1');
        expect(places).toHaveLength(allocations);
        expect(places.flatMap(({ neighbours }) => neighbours)).toHaveLength(instances);
        return asked.length;
      });
    };

    expect(await questions(200, 500)).toBe(await questions(1, 1));
  });
});

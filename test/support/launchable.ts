/** Places of the project of a seeded fleet on which apps can be launched, and images for them. */
import type { Tx } from '../../src/server/db/store.ts';
import { sampleGpu } from './gpus.ts';
import { aNode, anArtifact, aVersion, inventory, runtimeStatus } from './launch-samples.ts';
import { jupyterProfile } from './profiles.ts';
import { anAllocation, anInstance } from './store-samples.ts';

const at = '2026-11-25T10:00:00.000Z';
const amount = (total: number) => ({ total, reserved: 0, used: 0, free: total });
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

export const places = {
  cards: '0190b000-0000-7000-8000-000000000001',
  plain: '0190b000-0000-7000-8000-000000000002',
  ending: '0190b000-0000-7000-8000-000000000003',
} as const;

/**
 * Two hosts that are well: one with two cards, one without any; and an allocation that is being released. JupyterLab has a
 * version `with-identity`, older than all others by its id, which asks for a credential and a service account.
 */
export async function launchable(tx: Tx): Promise<void> {
  await place(tx, places.cards, 'h200-lab', 2);
  await place(tx, places.plain, 'cpu-lab', 0);
  await tx.allocations.insert(
    anAllocation({ id: places.ending, name: 'old-lab', state: 'releasing', shape: shapeOf(1) }),
  );
  for (const [name, letter] of [
    ['runtime-cpu', 'b'],
    ['runtime-nvidia-h200', 'c'],
    ['vllm-openai-cuda', 'd'],
  ] as const) {
    await tx.artifacts.insert(
      anArtifact({
        ...{ id: `launchable-${name}`, name, repository: `127.0.0.1:5000/curated/${name}`, size_bytes: 1_340_000_000 },
        ...{ digest: digest(letter), platform_digest: digest(letter) },
        promotions: [{ channel: 'prod', digest: digest(letter), actor: 'init', at, correlation_id: 'trace-1' }],
      }),
    );
  }
  await tx.app_versions.insert(
    aVersion({
      ...{ id: '0-with-identity', version: 'with-identity' },
      manifest: jupyterProfile({
        '/parameters/ui/launch_wizard/steps/0/components/1': { kind: 'platform.access_credential' },
        '/parameters/ui/launch_wizard/steps/0/components/2': { kind: 'platform.operator_service_account' },
      }),
    }),
  );
  await tx.app_instances.insert(
    anInstance({
      ...{ id: 'neighbour', allocation_id: places.cards, node_id: 'node-h200-lab', host_ports: { web: 8888 } },
      resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
    }),
  );
}

const shapeOf = (gpu_count: number) => ({ gpu_count, cpu_cores: 16, memory_gib: 96 });

async function place(tx: Tx, id: string, name: string, cards: number): Promise<void> {
  const runtime = runtimeStatus({
    gpus: Array.from({ length: cards }, (_, at) => sampleGpu({ uuid: `GPU-${name}-${at}`, name: 'NVIDIA H200' })),
    resources: { cpu_cores: amount(16), memory_gib: amount(96), disk_gib: amount(2000) },
  });
  await tx.allocations.insert(anAllocation({ id, name, node_id: `node-${name}`, shape: shapeOf(cards) }));
  await tx.nodes.insert(
    aNode({
      ...{ id: `node-${name}`, name: `gpu-${name}`, allocation_id: id, runtime },
      inventory: inventory({ hostname: `gpu-${name}`, runtime }),
    }),
  );
}

/** Everything that a launch of JupyterLab needs, as the store would have it: all nine checks pass. */

import { taskTypes } from '../../src/contract/tasks.ts';
import type { WorkloadOciRuntimeStatusOutput } from '../../src/contract/workload-oci-runtime-status.ts';
import type { WorkloadProfile } from '../../src/manifests/gpuaas/profile.ts';
import { jupyterlab } from '../../src/manifests/gpuaas/seeds/jupyterlab.ts';
import type { Artifact } from '../../src/server/db/entities/artifact.ts';
import type { App, AppVersion } from '../../src/server/db/entities/catalog.ts';
import type { Node } from '../../src/server/db/entities/node.ts';
import type { LaunchFacts } from '../../src/server/launch/checks.ts';
import { environmentOf } from '../../src/server/launch/environment.ts';
import type { LaunchRequest } from '../../src/server/launch/launch-request.ts';
import { sampleGpu } from './gpus.ts';
import { jupyterProfile, smokeProfile, vllmProfile } from './profiles.ts';
import { anAllocation } from './store-samples.ts';

const at = '2026-11-25T10:00:00.000Z';
export const allocationId = anAllocation().id;
export const imageDigest = `sha256:${'a'.repeat(64)}`;

export function anApp(given: Partial<App> = {}): App {
  return {
    ...{ id: 'jupyterlab', display_name: 'JupyterLab', summary: 'Notebooks.', category: 'notebook' },
    ...{ status: 'active', created_at: at },
    ...given,
  };
}

export function aVersion(given: Partial<AppVersion> = {}): AppVersion {
  return {
    ...{ id: 'version-1', app_slug: 'jupyterlab', version: '2026.04-preview', status: 'published' },
    ...{ format: 'yaml', source: jupyterlab.source, manifest: jupyterProfile(), created_at: at, published_at: at },
    ...given,
  };
}

export function anArtifact(given: Partial<Artifact> = {}): Artifact {
  return {
    ...{ id: 'artifact-cpu', name: 'runtime-cpu', repository: '127.0.0.1:5000/curated/runtime-cpu' },
    ...{ digest: imageDigest, platform_digest: imageDigest, size_bytes: 1000 },
    media_type: 'application/vnd.oci.image.manifest.v1+json',
    ...{ lifecycle: 'promoted', trust: 'verified', verification: null, promotions: [] },
    provenance: { source: null, revision: null, builder: null, built_at: null },
    ...{ created_at: at, created_by: 'token-1', updated_at: at },
    ...given,
  };
}

export function aRequest(given: Partial<LaunchRequest> = {}): LaunchRequest {
  return {
    ...{ app_slug: 'jupyterlab', app_version: '2026.04-preview', display_name: 'My JupyterLab' },
    placement_intent: { target_allocation_id: allocationId },
    artifact_id: 'artifact-cpu',
    config: { workspace_mount: 'scratch', exposure_mode: 'private', host_port: 8888 },
    resource_overrides: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
    ...given,
  };
}

export const settings = { launchEnabled: true, registries: ['127.0.0.1:5000'] };

export function launchFacts(given: Partial<LaunchFacts> = {}): LaunchFacts {
  return {
    ...{ request: aRequest(), projectId: 'p1', allocation: anAllocation(), app: anApp(), version: aVersion() },
    ...{ profile: jupyterProfile(), isEntitled: true, artifacts: [anArtifact()], neighbours: [] },
    ...{ credentials: [], serviceAccount: undefined },
    host: undefined,
    ...{ capacity: undefined, node: aNode() },
    environment: environmentOf(settings),
    ...given,
  };
}

export const vllmArtifact = () =>
  anArtifact({
    ...{ id: 'artifact-vllm', name: 'vllm-openai-cuda', repository: '127.0.0.1:5000/curated/vllm-openai-cuda' },
  });

export function vllmRequest(given: Partial<LaunchRequest> = {}): LaunchRequest {
  const app = { app_slug: 'vllm-openai', app_version: '2026.11', display_name: 'My vLLM' };
  return aRequest({ ...app, artifact_id: 'artifact-vllm', config: {}, resource_overrides: {}, ...given });
}

/** A launch of the curated model server; `request` wins. */
export function vllmFacts(request: Partial<LaunchRequest> = {}): LaunchFacts {
  return stackFacts(vllmProfile(), vllmArtifact(), vllmRequest(request));
}

/** A launch of the smoke test of a host. */
export function smokeFacts(request: Partial<LaunchRequest> = {}): LaunchFacts {
  const app = { app_slug: 'smoke-stack', app_version: '1', display_name: 'Smoke test' };
  return stackFacts(smokeProfile(), anArtifact(), aRequest({ ...app, config: {}, resource_overrides: {}, ...request }));
}

function stackFacts(profile: WorkloadProfile, artifact: Artifact, request: LaunchRequest): LaunchFacts {
  const { app_slug: slug, app_version: version } = request;
  return launchFacts({
    ...{ request, profile, artifacts: [artifact], app: anApp({ id: slug }) },
    version: aVersion({ app_slug: slug, version, manifest: profile }),
    allocation: anAllocation({ shape: largeShape, project_storage: true }),
  });
}

/** Two cards, and what a model on both of them needs. */
export const largeShape = { gpu_count: 2, cpu_cores: 64, memory_gib: 512 };

export function runtimeStatus(given: Partial<WorkloadOciRuntimeStatusOutput> = {}): WorkloadOciRuntimeStatusOutput {
  const amount = { total: 8, reserved: 0, used: 0, free: 8 };
  return {
    ...{ ready: true, reasons: [], probed_at: at, runtimes: [], compose_version: null, engine: null },
    gpus: [sampleGpu({ name: 'a card', memory_mib: 1024 })],
    resources: { cpu_cores: amount, memory_gib: amount, disk_gib: amount },
    ...given,
  };
}

/** What a host says that it is. */
export function inventory(given: Partial<NonNullable<Node['inventory']>> = {}): NonNullable<Node['inventory']> {
  return {
    ...{ at, agent_version: '0.1.0', hostname: 'host-1', os: 'Debian 13', kernel: '6.12', arch: 'x64' },
    ...{ ssh_user: 'tenant', draining: false, runtime: runtimeStatus() },
    ...given,
  };
}

/** A node that has said just now that it is ready. */
export function aNode(given: Partial<Node> = {}): Node {
  const key = { kty: 'OKP', x: 'hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo' } as const;
  return {
    ...{ id: 'node-1', name: 'host-1', allocation_id: allocationId, status: 'enrolled', status_reason: null },
    ...{ identity_key: { ...key, crv: 'Ed25519' }, wrapping_key: { ...key, crv: 'X25519' }, next_keys: null },
    ...{ task_kid: 'task-key-1', epoch_confirmed: 1, epoch_offered: null, bearer_hash: null, drain: false },
    ...{ enrolled_at: at, last_seen_at: at, agent_version: '0.1.0', boot_id: null },
    task_types: taskTypes.map((type) => ({ type, version: 1 })),
    ...{ inventory: null, runtime: runtimeStatus(), runtime_at: '2026-11-25T12:00:00.000Z', topology: null },
    ...given,
  };
}

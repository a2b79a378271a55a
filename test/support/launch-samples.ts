/** Everything that a launch of JupyterLab needs, as the store would have it: all nine checks pass. */

import { jupyterlab } from '../../src/manifests/gpuaas/seeds/jupyterlab.ts';
import type { Artifact } from '../../src/server/db/entities/artifact.ts';
import type { App, AppVersion } from '../../src/server/db/entities/catalog.ts';
import type { LaunchFacts } from '../../src/server/launch/checks.ts';
import { environmentOf } from '../../src/server/launch/environment.ts';
import type { LaunchRequest } from '../../src/server/launch/launch-request.ts';
import { jupyterProfile } from './profiles.ts';
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
    ...{ profile: jupyterProfile(), isEntitled: true, artifacts: [anArtifact()], neighbours: [], gpuNames: [] },
    environment: environmentOf(settings),
    ...given,
  };
}

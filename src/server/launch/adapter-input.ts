/** From a launch that passed its checks to what an adapter gets: everything decided, nothing left to choose. */
import type { Identity } from '../../contract/identifiers.ts';
import type { RegistryImage } from '../../contract/workload-oci-launch.ts';
import { authOf } from '../../manifests/gpuaas/endpoint-auth.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import type { LaunchValues } from '../../manifests/gpuaas/resolve-values.ts';
import type { AdapterInput, ExposureDecision, StorageDecision } from '../adapters/adapter.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import { type CheckedLaunch, hasPassed } from './checks.ts';

export interface Placed {
  readonly instanceId: string;
  readonly nodeId: string;
  readonly sealedFiles: Readonly<Record<string, string>>;
}

/** Throws for a launch that no check has seen: that is a bug. */
export function adapterInput(launch: CheckedLaunch, { instanceId, nodeId, sealedFiles }: Placed): AdapterInput {
  if (!hasPassed(launch)) throw new Error('a launch reached an adapter without its checks');
  const { profile, values, allocation } = launch;
  return {
    ...{ profile, values, sealed_files: sealedFiles },
    identity: identityOf(launch, instanceId),
    placement: { allocation_id: allocation.id, node_id: nodeId },
    image: imageOf(launch),
    storage: storageOf(profile, values),
    exposure: exposureOf(profile, values),
  };
}

function identityOf({ request, projectId, allocation }: CheckedLaunch, instanceId: string): Identity {
  const { app_slug, app_version, display_name } = request;
  return {
    ...{ project_id: projectId, app_instance_id: instanceId, allocation_id: allocation.id },
    ...{ app_slug, app_version, display_name },
  };
}

/** What runs is the manifest of one platform, also where an index was registered: an index could grow by another. */
function imageOf({ artifact }: CheckedLaunch): RegistryImage {
  const { repository, media_type: type } = artifact;
  const single = type.startsWith('application/vnd.docker')
    ? 'application/vnd.docker.distribution.manifest.v2+json'
    : 'application/vnd.oci.image.manifest.v1+json';
  return { kind: 'registry', reference: `${repository}@${runningDigest(artifact)}`, media_type: single };
}

export function runningDigest({ platform_digest, digest }: Artifact): string {
  return platform_digest ?? digest;
}

function storageOf({ storage }: WorkloadProfile, { mounts }: LaunchValues): StorageDecision[] {
  return (storage?.mounts ?? []).flatMap(({ name, path }) => {
    const mode = mounts[name];
    return mode === 'scratch' || mode === 'project_storage' ? [{ name, path, mode }] : [];
  });
}

function exposureOf(profile: WorkloadProfile, { host_ports: ports }: LaunchValues): ExposureDecision[] {
  return (profile.network?.endpoints ?? []).map((endpoint) => {
    const { name, protocol, port } = endpoint;
    const auth = authOf(profile, endpoint);
    return {
      ...{ endpoint: name, protocol, container_port: port, host_port: ports[name] ?? port, mode: 'private' as const },
      token: auth.mode === 'generated_token' ? { path: tokenPath(name), env: auth.token_file_env ?? null } : null,
    };
  });
}

/** File in memory, inside the container, with the token of an endpoint. */
export function tokenPath(endpoint: string): string {
  return `/run/secrets/${endpoint}-token`;
}

/** From a launch that passed its checks to what an adapter gets: everything decided, nothing left to choose. */
import type { Identity } from '../../contract/identifiers.ts';
import type { RegistryImage } from '../../contract/workload-oci-launch.ts';
import { authOf } from '../../manifests/gpuaas/endpoint-auth.ts';
import {
  controlPlaneVariable,
  isPlatformSecret,
  platformSecretNames,
  platformSecrets,
} from '../../manifests/gpuaas/platform-secrets.ts';
import type { EndpointAuth, WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import type { LaunchValues } from '../../manifests/gpuaas/resolve-values.ts';
import type {
  AdapterInput,
  ExposureDecision,
  SecretDecision,
  StorageDecision,
  TokenDecision,
} from '../adapters/adapter.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import { type CheckedLaunch, hasPassed } from './checks.ts';

export interface Placed {
  readonly instanceId: string;
  readonly nodeId: string;
  /** Secrets by path and by variable, sealed for the node. */
  readonly sealedFiles: Readonly<Record<string, string>>;
  readonly sealedEnv: Readonly<Record<string, string>>;
}

/** Throws for a launch that no check has seen: that is a bug. */
export function adapterInput(launch: CheckedLaunch, { instanceId, nodeId, ...sealed }: Placed): AdapterInput {
  if (!hasPassed(launch)) throw new Error('a launch reached an adapter without its checks');
  const { profile, values, allocation } = launch;
  return {
    ...{ profile, values, sealed_files: sealed.sealedFiles, sealed_env: sealed.sealedEnv },
    identity: identityOf(launch, instanceId),
    placement: { allocation_id: allocation.id, node_id: nodeId },
    image: imageOf(launch),
    storage: storageOf(profile, values),
    exposure: exposureOf(profile, values),
    secrets: secretsOf(launch, sealed.sealedFiles),
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

export function storageOf({ storage }: WorkloadProfile, { mounts }: Pick<LaunchValues, 'mounts'>): StorageDecision[] {
  return (storage?.mounts ?? []).flatMap(({ name, path }) => {
    const mode = mounts[name];
    return mode === 'scratch' || mode === 'project_storage' ? [{ name, path, mode }] : [];
  });
}

export function exposureOf(profile: WorkloadProfile, { host_ports: ports }: LaunchValues): ExposureDecision[] {
  return (profile.network?.endpoints ?? []).map((endpoint) => {
    const { name, protocol, port } = endpoint;
    return {
      ...{ endpoint: name, protocol, container_port: port, host_port: ports[name] ?? port, mode: 'private' as const },
      token: tokenOf(name, authOf(profile, endpoint)),
    };
  });
}

/** How a workload learns of the token of an endpoint: by a file in memory, unless it can read nothing but a variable. */
export function tokenOf(endpoint: string, { mode, token_file_env, token_env }: EndpointAuth): TokenDecision | null {
  if (mode !== 'generated_token') return null;
  const isFile = token_env === undefined || token_file_env !== undefined;
  return {
    path: isFile ? `/run/secrets/${endpoint}-token` : null,
    env: token_file_env ?? null,
    value_env: token_env ?? null,
  };
}

/** Those that were given: of the app, and of the platform. */
function secretsOf({ profile, controlPlaneUrl }: CheckedLaunch, files: Placed['sealedFiles']): SecretDecision[] {
  const own = (profile.parameters.secrets ?? []).map(({ name, file_env }) => ({
    ...{ name, path: secretPath(name), env: file_env ?? null, beside: {} },
  }));
  const taken = platformSecretNames.map((name) => ({
    ...{ name, path: secretPath(name), env: platformSecrets[name].env },
    beside:
      name === 'service_account_token' && controlPlaneUrl !== null ? { [controlPlaneVariable]: controlPlaneUrl } : {},
  }));
  return [...own, ...taken].filter(({ path }) => Object.hasOwn(files, path));
}

/** File in memory, inside the container, with a secret. No name of an app's own has a dash or a dot, as the others have. */
export function secretPath(name: string): string {
  return isPlatformSecret(name) ? platformSecrets[name].path : `/run/secrets/${name}`;
}

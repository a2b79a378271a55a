/**
 * The nine checks of a launch, in their order. Pure: the facts are loaded before, inside the transaction that accepts the
 * launch, so two launches for one card cannot both pass.
 *
 *   1 allocation active   2 allocation of the project   3 version published and app entitled   4 artifact offered
 *   5 digest and trust    6 storage                     7 exposure                             8 resources
 *   9 adapter enabled
 *
 * Nothing stops at the first failure: a person corrects a launch in one go. A check whose facts are missing is left out,
 * since an earlier one has said why they are.
 */

import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { type LaunchValues, resolveValues, type SoundValues } from '../../manifests/gpuaas/resolve-values.ts';
import type { Allocation } from '../db/entities/allocation.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import type { App, AppVersion } from '../db/entities/catalog.ts';
import type { AccessCredential, ServiceAccount } from '../db/entities/credential.ts';
import type { Node } from '../db/entities/node.ts';
import {
  fittingArtifacts,
  isImageOf,
  noneUsable,
  usableArtifacts,
  whyNotLocked,
  whyNotOffered,
  whyNotTrusted,
} from './artifact-fitness.ts';
import { type HostCards, vendorOf } from './card-fit.ts';
import { checkResources, checkVendor } from './check-resources.ts';
import { checkSecrets } from './check-secrets.ts';
import type { LaunchEnvironment } from './environment.ts';
import type { LaunchRequest } from './launch-request.ts';
import { type LaunchRefusal, refusal } from './refusal.ts';
import type { Amounts, Neighbour } from './resource-fit.ts';

export interface LaunchFacts {
  readonly request: LaunchRequest;
  readonly projectId: string;
  /** The named allocation, whosever it is; undefined if there is none. */
  readonly allocation: Allocation | undefined;
  readonly app: App | undefined;
  readonly version: AppVersion | undefined;
  /** Manifest of the version; undefined without a version. */
  readonly profile: WorkloadProfile | undefined;
  readonly isEntitled: boolean;
  /** All artifacts that the manifest could mean, and the named one. */
  readonly artifacts: readonly Artifact[];
  /** Credentials that the request names, and the account: of the project, or they are not here. */
  readonly credentials: readonly AccessCredential[];
  readonly serviceAccount: ServiceAccount | undefined;
  /** Other instances of the allocation. */
  readonly neighbours: readonly Neighbour[];
  /** The cards of its host; undefined while nobody knows. */
  readonly host: HostCards | undefined;
  /** What the node has for workloads; undefined while nobody knows. */
  readonly capacity: Amounts | undefined;
  /** The node, as far as it says whether it can be seen what runs there; undefined where none has enrolled. */
  readonly node: Pick<Node, 'runtime'> | undefined;
  readonly environment: LaunchEnvironment;
}

/** A launch that passed. Nobody else can make one: adapters take nothing less. */
export interface CheckedLaunch {
  readonly request: LaunchRequest;
  readonly projectId: string;
  readonly allocation: Allocation;
  readonly profile: WorkloadProfile;
  readonly artifact: Artifact;
  readonly values: LaunchValues;
  readonly credentials: readonly AccessCredential[];
  readonly serviceAccount: ServiceAccount | undefined;
  /** Where workloads find this control plane; null where nobody said. */
  readonly controlPlaneUrl: string | null;
}

export type Checked =
  | { readonly ok: true; readonly launch: CheckedLaunch }
  | { readonly ok: false; readonly refusals: readonly LaunchRefusal[] };

const passed = new WeakSet<object>();

/** True for what `checkLaunch` has let pass in this process, and for nothing that merely looks like it. */
export function hasPassed(launch: CheckedLaunch): boolean {
  return passed.has(launch);
}

export function checkLaunch(facts: LaunchFacts): Checked {
  const { request, projectId, profile } = facts;
  const resolved = profile && resolveValues(profile, choicesOf(request));
  const values = resolved && (resolved.ok ? resolved.values : resolved.sound);
  const allocation = facts.allocation?.project_id === projectId ? facts.allocation : undefined;
  const artifact = profile && chooseArtifact(facts, profile, values);

  const refusals = [
    ...checkAllocation(facts, allocation),
    ...checkVersion(facts),
    // Which image fits depends on the cards: without their number nobody can choose one.
    ...(profile && (values?.resources.gpu_count !== undefined || request.artifact_id !== undefined)
      ? checkArtifact(facts, profile, artifact, values)
      : []),
    ...(resolved?.ok === false
      ? resolved.errors.map(({ path, message }) => refusal('launch.values_invalid', path, `It ${message}.`))
      : []),
    ...(profile ? checkSecrets(facts, profile) : []),
    ...(profile && values ? checkStorage(profile, values, allocation) : []),
    ...(profile && values ? checkExposure(facts, profile, values) : []),
    ...(values && allocation ? checkResources(facts, values, allocation, artifact) : []),
    ...(profile ? checkAdapter(facts, profile) : []),
  ];
  if (refusals.length > 0 || !allocation || !profile || !artifact || !resolved?.ok) return { ok: false, refusals };
  const { credentials, serviceAccount, environment } = facts;
  const launch: CheckedLaunch = {
    ...{ request, projectId, allocation, profile, artifact, values: resolved.values },
    ...{ credentials, serviceAccount, controlPlaneUrl: environment.url },
  };
  passed.add(launch);
  return { ok: true, launch };
}

export function choicesOf({ config = {}, resource_overrides = {} }: LaunchRequest) {
  return { config, resource_overrides };
}

/** Checks 1 and 2. Of an allocation of another project not even the state is told: it is as if there were none. */
function checkAllocation({ request }: LaunchFacts, allocation: Allocation | undefined): LaunchRefusal[] {
  const path = '/placement_intent/target_allocation_id';
  if (request.placement_intent?.target_allocation_id === undefined) {
    return [refusal('launch.allocation_missing', path)];
  }
  if (!allocation) return [refusal('launch.allocation_not_in_project', path)];
  return allocation.state === 'active'
    ? []
    : [refusal('launch.allocation_not_active', path, `It is ${allocation.state}.`)];
}

/** Check 3. */
function checkVersion({ app, version, isEntitled }: LaunchFacts): LaunchRefusal[] {
  if (app?.status !== 'active') return [refusal('launch.app_not_found', '/app_slug')];
  const refusals = isEntitled ? [] : [refusal('launch.not_entitled', '/app_slug')];
  if (!version) return [...refusals, refusal('launch.version_not_found', '/app_version')];
  return version.status === 'published'
    ? refusals
    : [...refusals, refusal('launch.version_not_published', '/app_version', `It is ${version.status}.`)];
}

function chooseArtifact(
  { request, artifacts, environment, host, version }: LaunchFacts,
  profile: WorkloadProfile,
  values: SoundValues | undefined,
): Artifact | undefined {
  if (request.artifact_id !== undefined) return artifacts.find(({ id }) => id === request.artifact_id);
  const gpu_count = values?.resources.gpu_count;
  if (gpu_count === undefined) return undefined;
  const cards = { gpu_count, cards: host?.cards ?? [], lock: version?.lock };
  const [only, ...others] = fittingArtifacts(profile, artifacts, environment, cards);
  return others.length === 0 ? only : undefined;
}

/** Checks 4 and 5. */
function checkArtifact(
  { request, artifacts, environment, host, version }: LaunchFacts,
  profile: WorkloadProfile,
  artifact: Artifact | undefined,
  values: SoundValues | undefined,
): LaunchRefusal[] {
  const path = '/artifact_id';
  if (!artifact) {
    if (request.artifact_id !== undefined) return [refusal('launch.artifact_not_found', path)];
    const isAny = usableArtifacts(profile, artifacts, environment, version?.lock).length > 0;
    const reason = isAny ? undefined : noneUsable(environment, version?.lock, artifacts);
    return [refusal('launch.artifact_required', path, reason)];
  }
  const mismatch = isImageOf(profile, artifact) ? [] : [refusal('launch.artifact_mismatch', path)];
  const locked = whyNotLocked(artifact, version?.lock);
  const lifecycle = whyNotOffered(artifact, environment);
  const trust = whyNotTrusted(artifact, environment);
  return [
    ...mismatch,
    ...(locked && mismatch.length === 0 ? [refusal(locked, path)] : []),
    ...(lifecycle ? [refusal(lifecycle, path, lifecycleOf(artifact, environment))] : []),
    ...(trust ? [refusal(trust, path, `Its trust is ${artifact.trust}.`)] : []),
    ...checkVendor(host, vendorOf(profile, artifact), values?.resources.gpu_count ?? 0),
  ];
}

function lifecycleOf({ lifecycle, promotions }: Artifact, { artifactChannel }: LaunchEnvironment): string {
  if (artifactChannel === null || lifecycle !== 'promoted') return `It is ${lifecycle}.`;
  const reached = [...new Set(promotions.map(({ channel }) => channel))].join(', ');
  return `It is promoted to ${reached || 'no channel'}, and this environment launches what is promoted to ${artifactChannel}.`;
}

/** Check 6. */
function checkStorage(
  { storage }: WorkloadProfile,
  { mounts }: SoundValues,
  allocation: Allocation | undefined,
): LaunchRefusal[] {
  return (storage?.mounts ?? []).flatMap(({ name, modes }) => {
    const mode = mounts[name];
    if (mode === undefined) return [];
    const path = `/config/${name.replaceAll('-', '_')}_mount`;
    if (!(modes as readonly string[]).includes(mode)) {
      return [refusal('launch.storage_mode_not_allowed', path, `Allowed: ${modes.join(', ')}.`)];
    }
    return mode === 'project_storage' && allocation && !allocation.project_storage
      ? [refusal('launch.storage_not_ready', path)]
      : [];
  });
}

/** Check 7: the environment has to support the mode, and every endpoint has to declare it. */
function checkExposure(
  { environment }: LaunchFacts,
  { network }: WorkloadProfile,
  { exposure_mode: mode }: SoundValues,
): LaunchRefusal[] {
  if (mode === undefined) return [];
  const path = '/config/exposure_mode';
  if (!environment.exposureModes.includes(mode)) {
    return [refusal('launch.exposure_not_supported', path, `Supported: ${environment.exposureModes.join(', ')}.`)];
  }
  const unwilling = (network?.endpoints ?? []).filter(
    ({ exposure_modes: modes }) => !(modes as readonly string[]).includes(mode),
  );
  return unwilling.map(({ name }) =>
    refusal('launch.exposure_not_supported', path, `The endpoint ${name} does not allow ${mode}.`),
  );
}

/** Check 9. */
function checkAdapter({ environment }: LaunchFacts, { execution }: WorkloadProfile): LaunchRefusal[] {
  const engine = execution.default_engine;
  const declared = execution.supported_engines.find((one) => one.engine === engine);
  if (declared?.status !== 'active') return [refusal('launch.engine_not_active', '/app_version', `It is ${engine}.`)];
  return environment.engines.includes(engine)
    ? []
    : [refusal('launch.adapter_not_enabled', '/app_version', `It is ${engine}.`)];
}

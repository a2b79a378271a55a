/**
 * Whether an artifact can be launched, and whether it is one of an app's images. The picker of the form lists what passes,
 * and checks 4 and 5 of a launch refuse what does not: one rule for both.
 */
import type { FailureCode } from '../../contract/failures.ts';
import type { Gpu } from '../../contract/gpus.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import type { AppVersion } from '../db/entities/catalog.ts';
import { cardImage } from './card-fit.ts';
import type { LaunchEnvironment } from './environment.ts';

/** Why its lifecycle keeps it from being launched; undefined if it does not (check 4). */
export function whyNotOffered(
  { lifecycle, promotions, digest }: Pick<Artifact, 'lifecycle' | 'promotions' | 'digest'>,
  { artifactPolicy, artifactChannel }: Pick<LaunchEnvironment, 'artifactPolicy' | 'artifactChannel'>,
): FailureCode | undefined {
  if (lifecycle === 'retired' || lifecycle === 'deprecated') return 'launch.artifact_retired';
  if (artifactPolicy === 'published') return undefined;
  const isThere =
    artifactChannel === null || promotions.some((each) => each.channel === artifactChannel && each.digest === digest);
  return lifecycle === 'promoted' && isThere ? undefined : 'launch.artifact_not_promoted';
}

/** Images that make up the release of a version; null or absent where it is not locked. */
export type Lock = AppVersion['lock'];

/** Why the release lock of a version keeps an artifact from being launched as that version; undefined if it does not. */
export function whyNotLocked({ id, name }: Pick<Artifact, 'id' | 'name'>, lock: Lock): FailureCode | undefined {
  const locked = lock && Object.hasOwn(lock.artifacts, name) ? lock.artifacts[name] : undefined;
  return lock && locked?.artifact_id !== id ? 'launch.artifact_not_locked' : undefined;
}

/** Why it is not believed; undefined if it is (check 5). */
export function whyNotTrusted(
  { trust, digest, repository }: Pick<Artifact, 'trust' | 'digest' | 'repository'>,
  { registries }: Pick<LaunchEnvironment, 'registries'>,
): FailureCode | undefined {
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) return 'launch.digest_invalid';
  if (trust !== 'verified') return 'launch.artifact_untrusted';
  return registries.includes(repository.split('/')[0] ?? '') ? undefined : 'launch.registry_denied';
}

/**
 * Media types that stand for each other: the registry answers in the one that the image was pushed in, and an index counts
 * because the manifest of the platform that runs is recorded beside it.
 */
const imageTypes: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);

/** True if a manifest declares it: by name, and as something that an image can be. */
export function isImageOf({ artifacts }: WorkloadProfile, { name, media_type }: Artifact): boolean {
  return Object.values(artifacts).some(({ artifact_name }) => artifact_name === name) && imageTypes.has(media_type);
}

/** Those that are images of the version and could be launched as they are, whatever cards there are; in their order. */
export function usableArtifacts(
  profile: WorkloadProfile,
  artifacts: readonly Artifact[],
  environment: LaunchEnvironment,
  lock: Lock,
): Artifact[] {
  return artifacts.filter(
    (artifact) =>
      isImageOf(profile, artifact) &&
      whyNotLocked(artifact, lock) === undefined &&
      whyNotOffered(artifact, environment) === undefined &&
      whyNotTrusted(artifact, environment) === undefined,
  );
}

/** Said where there is none of them; `known` are those that there are of the version, whatever they are like. */
export function noneUsable(
  { artifactPolicy, artifactChannel }: Pick<LaunchEnvironment, 'artifactPolicy' | 'artifactChannel'>,
  lock: Lock,
  known: readonly Artifact[] = [],
): string {
  const ended = lock ? known.filter((each) => whyNotLocked(each, lock) === undefined && endOf(each) !== undefined) : [];
  if (ended.length > 0) {
    const what = ended.map((each) => `${each.name}, which is ${endOf(each)}`).join(', and to ');
    return `The version is locked to ${what}. An operator locks it to another image, or takes the lock away: \`gpuaas apps versions lock\` or \`unlock\`.`;
  }
  const promoted = `verified and promoted${artifactChannel === null ? '' : ` to ${artifactChannel}`}`;
  const wanted = artifactPolicy === 'promoted' ? promoted : 'verified, and published or promoted';
  return `None of ${lock ? 'the images of its release lock' : 'its images'} is registered, ${wanted}.`;
}

/** What keeps everybody from launching it, whatever the environment asks for. */
function endOf({ lifecycle, trust }: Artifact): string | undefined {
  if (trust === 'revoked') return trust;
  return lifecycle === 'retired' || lifecycle === 'deprecated' ? lifecycle : undefined;
}

interface Cards {
  readonly gpu_count: number;
  /** Cards of the allocation, as its host reports them; empty where there are none. */
  readonly cards: readonly Pick<Gpu, 'vendor' | 'name'>[];
  /** Of the version. */
  readonly lock: Lock;
}

/**
 * The artifacts that a launch may choose from, for this many cards on this allocation. An image that is named after cards
 * (`nvidia_h200_image`, `amd_rocm_image`) is for those; without such an image, the primary one serves.
 */
export function fittingArtifacts(
  profile: WorkloadProfile,
  artifacts: readonly Artifact[],
  environment: LaunchEnvironment,
  { gpu_count, cards, lock }: Cards,
): Artifact[] {
  const usable = usableArtifacts(profile, artifacts, environment, lock);
  const special = usable.filter((artifact) => gpu_count > 0 && isForCards(profile, artifact, cards));
  if (special.length > 0) return special;
  const primary = profile.artifacts['primary_image']?.artifact_name;
  return usable.filter(({ name }) => name === primary);
}

function isForCards({ artifacts }: WorkloadProfile, { name }: Artifact, cards: Cards['cards']): boolean {
  return Object.entries(artifacts).some(([key, { artifact_name }]) => {
    const image = cardImage(key);
    return artifact_name === name && image !== undefined && cards.some(image.fits);
  });
}

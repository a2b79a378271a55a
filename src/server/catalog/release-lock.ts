/**
 * The release lock of a version: which image stands behind each name of its manifest (G-243). A locked version is launched
 * from these digests and from no others, whatever is registered or promoted later, until it is locked anew.
 */
import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { pointerToken } from '../../contract/pointer.ts';
import type { PathError } from '../../contract/validate.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { type Artifact, type Channel, channels } from '../db/entities/artifact.ts';
import { AppVersion, type ReleaseLock } from '../db/entities/catalog.ts';
import type { ReadTx } from '../db/store.ts';
import { found, platform } from '../http/access.ts';
import { type Route, route } from '../http/route.ts';
import { isImageOf, whyNotOffered, whyNotTrusted } from '../launch/artifact-fitness.ts';
import type { LaunchEnvironment } from '../launch/environment.ts';
import { isWithdrawn, tellVersion, VersionPath, versionPath } from './publishing.ts';

const LockRequest = Type.Object(
  {
    channel: Type.Optional(
      Type.Enum([...channels], { description: 'Take what was last promoted to this channel, for each name.' }),
    ),
    artifacts: Type.Optional(
      Type.Record(Type.String(), Type.String({ maxLength: 64, description: 'Id of the artifact.' }), {
        maxProperties: 32,
        description: 'Take these, by name of the artifact.',
      }),
    ),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1, description: 'What to lock to: one of the two.' },
);
type LockRequest = Static<typeof LockRequest>;

export function releaseLockRoutes(environment: LaunchEnvironment): Route[] {
  const common = { tag: 'catalog', allow: platform, params: VersionPath, answer: AppVersion } as const;
  return [
    route({
      ...{ method: 'POST', path: `${versionPath}/lock`, ...common, body: LockRequest },
      summary: 'Locks a version to the images of its release, or to those of a newer one. Safe to repeat.',
      change: async (asked, tx) => {
        const version = await versionOf(tx, asked.params);
        if (version.status === 'withdrawn') throw isWithdrawn(version);
        const artifacts = await chosen(tx, version.manifest as WorkloadProfile, asked.body, environment);
        const { channel = null } = asked.body;
        if (version.lock && sameRelease(version.lock, { artifacts, channel })) return { body: version };
        const at = new Date(asked.now).toISOString();
        const lock = { artifacts, channel, at, actor: asked.who.tokenId, correlation_id: asked.correlationId };
        const locked: AppVersion = { ...version, lock };
        await tx.app_versions.put(locked);
        const names = Object.keys(artifacts).join(', ');
        const data = { channel, artifacts, before: version.lock?.artifacts ?? null };
        await tellVersion(tx, asked, version, 'locked', `was locked to its images of ${names}`, data);
        return { body: locked };
      },
    }),
    route({
      ...{ method: 'DELETE', path: `${versionPath}/lock`, ...common },
      summary: 'Takes the lock away: the version is launched from whatever fits.',
      change: async (asked, tx) => {
        const version = await versionOf(tx, asked.params);
        if (!version.lock) return { body: version };
        const unlocked: AppVersion = { ...version, lock: null };
        await tx.app_versions.put(unlocked);
        const data = { before: version.lock.artifacts };
        await tellVersion(tx, asked, version, 'unlocked', 'is no longer locked', data);
        return { body: unlocked };
      },
    }),
  ];
}

async function versionOf(tx: ReadTx, { slug: app_slug, version }: Static<typeof VersionPath>): Promise<AppVersion> {
  return found('version', version, await tx.app_versions.find({ app_slug, version }));
}

type Chosen = ReleaseLock['artifacts'];

/** One artifact for each name; for the names beside that of the primary image there may be none. */
async function chosen(
  tx: ReadTx,
  profile: WorkloadProfile,
  { channel, artifacts: named = {} }: LockRequest,
  environment: LaunchEnvironment,
): Promise<Chosen> {
  const names = [...new Set(Object.values(profile.artifacts).map(({ artifact_name }) => artifact_name))];
  const errors: PathError[] = Object.keys(named)
    .filter((name) => !names.includes(name))
    .map((name) => ({ path: pathOf(name), code: 'undeclared', message: 'is no artifact name of the manifest' }));
  const locked: [string, Chosen[string]][] = [];
  for (const name of names) {
    const all = (await tx.artifacts.list({ where: { name } })).filter(
      (artifact) =>
        isImageOf(profile, artifact) &&
        whyNotOffered(artifact, { artifactPolicy: 'published', artifactChannel: null }) === undefined &&
        whyNotTrusted(artifact, environment) === undefined,
    );
    const wanted = Object.hasOwn(named, name) ? named[name] : undefined;
    const one = channel === undefined ? all.find(({ id }) => id === wanted) : lastPromoted(all, channel);
    if (one) locked.push([name, { artifact_id: one.id, digest: one.digest }]);
    else if (wanted !== undefined) {
      const message = `must be the id of an artifact ${name} that is verified and neither deprecated nor retired`;
      errors.push({ path: pathOf(name), code: 'artifact', message });
    }
  }
  if (errors.length > 0) throw new AgentError('request.invalid', { errors: errors.map((each) => ({ ...each })) });
  const chosen = Object.fromEntries(locked);
  const primary = profile.artifacts['primary_image']?.artifact_name ?? '';
  if (!Object.hasOwn(chosen, primary)) {
    const reason =
      channel === undefined
        ? `The lock must name an artifact ${primary}: it is the primary image.`
        : `No verified artifact ${primary}, the primary image, is promoted to ${channel}.`;
    throw new AgentError('resource.conflict', { reason });
  }
  return chosen;
}

function pathOf(name: string): string {
  return `/artifacts/${pointerToken(name)}`;
}

function lastPromoted(artifacts: readonly Artifact[], channel: Channel): Artifact | undefined {
  const when = ({ promotions, lifecycle }: Artifact) =>
    lifecycle === 'promoted' ? (promotions.findLast((each) => each.channel === channel)?.at ?? '') : '';
  return artifacts
    .filter((artifact) => when(artifact) !== '')
    .toSorted((one, other) => when(other).localeCompare(when(one)))[0];
}

function sameRelease(
  one: Pick<ReleaseLock, 'artifacts' | 'channel'>,
  other: Pick<ReleaseLock, 'artifacts' | 'channel'>,
): boolean {
  const names = Object.keys(one.artifacts);
  return (
    one.channel === other.channel &&
    names.length === Object.keys(other.artifacts).length &&
    names.every((name) => one.artifacts[name]?.artifact_id === other.artifacts[name]?.artifact_id)
  );
}

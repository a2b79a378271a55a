/** Whether a project can launch an app now, and if not, why: what the catalog shows beside the button (G-146). */
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import type { App, AppVersion } from '../db/entities/catalog.ts';
import type { ReadTx } from '../db/store.ts';
import { noneUsable, usableArtifacts } from '../launch/artifact-fitness.ts';
import type { LaunchEnvironment } from '../launch/environment.ts';

/** True if the project has an entitlement of its own, or everybody has one; undefined for who belongs to no project. */
export async function isEntitled(tx: ReadTx, appSlug: string, projectId: string | null): Promise<boolean | undefined> {
  if (projectId === null) return undefined;
  return (await tx.entitlements.find({ app_slug: appSlug, project_id: [projectId, null] })) !== undefined;
}

/** Artifacts that are images of the version and could be launched as they are, newest first. */
export async function launchableArtifacts(
  tx: ReadTx,
  { manifest, lock }: Pick<AppVersion, 'manifest' | 'lock'>,
  environment: LaunchEnvironment,
): Promise<Artifact[]> {
  const profile = manifest as WorkloadProfile;
  const names = Object.values(profile.artifacts).map(({ artifact_name }) => artifact_name);
  const found = await tx.artifacts.list({ where: { name: names }, order: 'newest' });
  return usableArtifacts(profile, found, environment, lock);
}

interface Facts {
  readonly app: Pick<App, 'status'>;
  readonly version: Pick<AppVersion, 'status' | 'lock'>;
  /** Undefined for the platform's people, who belong to no project. */
  readonly entitled: boolean | undefined;
  readonly artifacts: readonly Artifact[];
  readonly environment: LaunchEnvironment;
}

/** One sentence for each thing that stands against a launch; none where nothing does. */
export function eligibilityOf({ app, version, entitled, artifacts, environment }: Facts) {
  const reasons = [
    ...(app.status === 'active' ? [] : ['The app is not offered at present.']),
    ...(version.status === 'published' ? [] : [`The version is ${version.status}.`]),
    ...(entitled === false ? ['The project is not entitled to this app.'] : []),
    ...(artifacts.length > 0 ? [] : [noneUsable(environment, version.lock)]),
    ...(environment.engines.length > 0 ? [] : ['Launches are not enabled in this environment.']),
  ];
  return { launchable: reasons.length === 0, reasons };
}

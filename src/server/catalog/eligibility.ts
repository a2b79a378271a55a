/** Whether a project can launch an app now, and if not, why: what the catalog shows beside the button (G-146). */
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { whyNotLaunchable } from '../artifacts/lifecycle.ts';
import { fitsMediaType } from '../artifacts/media-types.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import type { App, AppVersion } from '../db/entities/catalog.ts';
import type { ReadTx } from '../db/store.ts';

/** The entitlement that lets a project launch an app: its own, or one for everybody. */
export async function isEntitled(tx: ReadTx, appSlug: string, projectId: string): Promise<boolean> {
  const entitlement = await tx.entitlements.find({ app_slug: appSlug, project_id: [projectId, null] });
  return entitlement !== undefined;
}

/** Artifacts that a manifest names, of the media type that it asks for, whatever their state. */
export async function matchingArtifacts(tx: ReadTx, { artifacts }: WorkloadProfile): Promise<Artifact[]> {
  const declared = Object.values(artifacts);
  const found = await tx.artifacts.list({ where: { name: declared.map(({ artifact_name }) => artifact_name) } });
  return found.filter(({ name, media_type }) =>
    declared.some((each) => each.artifact_name === name && fitsMediaType(each.media_type, media_type)),
  );
}

export interface Eligibility {
  readonly launchable: boolean;
  /** One sentence each; empty where it can be launched. */
  readonly reasons: readonly string[];
}

interface Facts {
  readonly app: App;
  readonly version: AppVersion;
  /** Undefined for the platform's people, who belong to no project. */
  readonly entitled: boolean | undefined;
  readonly artifacts: readonly Artifact[];
  readonly promotedOnly: boolean;
  readonly launchEnabled: boolean;
}

export function eligibilityOf({ app, version, entitled, artifacts, promotedOnly, launchEnabled }: Facts): Eligibility {
  const usable = artifacts.filter((artifact) => whyNotLaunchable(artifact, { promotedOnly }).length === 0);
  const wanted = promotedOnly ? 'verified and promoted' : 'verified, published or promoted';
  const reasons = [
    ...(app.status === 'active' ? [] : ['The app is not offered at present.']),
    ...(version.status === 'published' ? [] : [`The version is ${version.status}.`]),
    ...(entitled === false ? ['The project is not entitled to this app.'] : []),
    ...(usable.length > 0 ? [] : [`None of its images is registered, ${wanted}.`]),
    ...(launchEnabled ? [] : ['Launches are not enabled in this environment.']),
  ];
  return { launchable: reasons.length === 0, reasons };
}

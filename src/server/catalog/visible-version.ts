/** Which versions a caller may know of: projects those that are published and that they are entitled to, the platform all. */
import type { App, AppVersion } from '../db/entities/catalog.ts';
import type { ReadTx } from '../db/store.ts';
import { found } from '../http/access.ts';
import type { Who } from '../http/route.ts';
import { isEntitled } from './eligibility.ts';

/** The version, if the caller may see it; `resource.not_found` as if it were not there otherwise. */
export async function versionFor(
  tx: ReadTx,
  who: Who,
  { slug: appSlug, version: name }: { slug: string; version: string },
): Promise<{ app: App; version: AppVersion }> {
  const app = await tx.apps.get(appSlug);
  const isOpen = who.projectId === null || (app?.status === 'active' && (await isEntitled(tx, appSlug, who.projectId)));
  const version = await tx.app_versions.find({ app_slug: appSlug, version: name });
  const isShown = isOpen && version !== undefined && maySeeVersion(who, version);
  return {
    app: found('app', appSlug, isOpen ? app : undefined),
    version: found('version', name, isShown ? version : undefined),
  };
}

export function maySeeVersion(who: Who, { status }: AppVersion): boolean {
  return who.projectId === null || status === 'published';
}

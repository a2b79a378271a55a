/** Which versions a caller may know of: projects those that are published of an app that is offered, the platform all. */
import type { App, AppVersion } from '../db/entities/catalog.ts';
import { everyProject } from '../db/entities/event.ts';
import type { ReadTx } from '../db/store.ts';
import { found } from '../http/access.ts';
import type { Who } from '../http/route.ts';

/** The version, if the caller may see it; `resource.not_found` as if it were not there otherwise. */
export async function versionFor(
  tx: ReadTx,
  who: Who,
  { slug: appSlug, version: name }: { slug: string; version: string },
): Promise<{ app: App; version: AppVersion }> {
  const app = await tx.apps.get(appSlug);
  const isOpen = app !== undefined && maySeeApp(who, app);
  const version = await tx.app_versions.find({ app_slug: appSlug, version: name });
  const isShown = isOpen && version !== undefined && maySeeVersion(who, version);
  return {
    app: found('app', appSlug, isOpen ? app : undefined),
    version: found('version', name, isShown ? version : undefined),
  };
}

/** An app is seen by who may not launch it as well, and says why: an entitlement is about launches. */
export function maySeeApp(who: Who, { status }: App): boolean {
  return who.projectId === null || status === 'active';
}

export function maySeeVersion(who: Who, { status }: AppVersion): boolean {
  return who.projectId === null || status === 'published';
}

/** Whom an event about the app, or a version of it, is told: every project where it is in the catalog, else the platform alone. */
export function audienceOf(app: App | undefined, version?: Pick<AppVersion, 'status'>): string | null {
  return app?.status === 'active' && version?.status !== 'draft' ? everyProject : null;
}

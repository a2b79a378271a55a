/** The platform's side of the catalog: apps, versions from draft to withdrawn, and who may launch them. */
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import { readProfileText } from '../../manifests/gpuaas/read-profile.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import { App, AppVersion, Entitlement } from '../db/entities/catalog.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { Tx } from '../db/store.ts';
import { found, platform } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import { notifyInstances } from '../instances/notices.ts';
import { unlessTaken } from '../resources/projects.ts';
import { audienceOf } from './visible-version.ts';

const { display_name, summary, category, status } = App.properties;
const slug = Type.String({ pattern: identifierPattern, description: 'The app.' });
const closed = { additionalProperties: false } as const;

const NewApp = Type.Object(
  { slug, display_name, summary, category, status: Type.Optional(status) },
  { ...closed, description: 'An app to add.' },
);
const NewVersion = Type.Object(
  {
    version: AppVersion.properties.version,
    source: Type.String({ maxLength: 262_144, description: 'The manifest as YAML or JSON; kept byte for byte.' }),
  },
  { ...closed, description: 'A version to add, as a draft.' },
);
const NewEntitlement = Type.Object(
  { app_slug: slug, project_id: Entitlement.properties.project_id },
  { ...closed, description: 'Who may launch what.' },
);
export const VersionPath = Type.Object({ slug, version: AppVersion.properties.version }, closed);
export const versionPath = '/api/v1/catalog/apps/{slug}/versions/{version}';

export function publishingRoutes(): Route[] {
  return [
    route({
      ...{ method: 'POST', path: '/api/v1/catalog/apps', tag: 'catalog', summary: 'Adds an app to the catalog.' },
      ...{ allow: platform, body: NewApp, answer: App, status: 201 },
      change: async (asked, tx) => {
        const { slug: id, status: wanted = 'active', ...card } = asked.body;
        const app: App = { id, ...card, status: wanted, created_at: timeOf(asked) };
        await unlessTaken(() => tx.apps.insert(app), `The app ${id} is in the catalog already.`);
        const subject = { kind: 'app', id } as const;
        const message = `App ${id} was added.`;
        await appendEvent(tx, asked, { type: 'app.added', project_id: audienceOf(app), subject, message });
        return { body: app };
      },
    }),
    route({
      ...{ method: 'POST', path: '/api/v1/catalog/apps/{slug}/versions', tag: 'catalog' },
      ...{ allow: platform, params: Type.Object({ slug }, closed), body: NewVersion, answer: AppVersion, status: 201 },
      summary:
        'Adds a version as a draft, or replaces the draft; the same manifest again changes nothing. All that is wrong is told at once.',
      bodyLimit: 600 * 1024,
      change: async (asked, tx) => {
        found('app', asked.params.slug, await tx.apps.get(asked.params.slug));
        const { version, source } = asked.body;
        const before = await tx.app_versions.find({ app_slug: asked.params.slug, version });
        if (before?.source === source) return { body: before };
        if (before && before.status !== 'draft') {
          const reason = `Version ${version} is ${before.status} with another manifest, and that one never changes. Give this one another version.`;
          throw new AgentError('resource.conflict', { reason });
        }
        const draft: AppVersion = {
          ...{ id: before?.id ?? newId(asked.now), app_slug: asked.params.slug, version, status: 'draft', source },
          ...{ format: /^\s*\{/.test(source) ? 'json' : 'yaml', manifest: checkedManifest(source, asked.params.slug) },
          ...{ created_at: timeOf(asked), published_at: null },
        };
        await (before ? tx.app_versions.put(draft) : tx.app_versions.insert(draft));
        const happened = before ? 'replaced' : 'added';
        await tellVersion(tx, asked, draft, happened, `was ${happened}`);
        return { body: draft };
      },
    }),
    moving('publish', 'draft', 'published', 'Publishes a draft. From then on its manifest is what it is.'),
    moving('withdraw', 'published', 'withdrawn', 'Takes a version out of the catalog; what runs goes on.'),
    ...entitlementRoutes(),
  ];
}

function moving(action: string, from: AppVersion['status'], to: AppVersion['status'], description: string): Route {
  return route({
    ...{ method: 'POST', path: `${versionPath}/${action}`, tag: 'catalog', summary: description },
    ...{ allow: platform, params: VersionPath, answer: AppVersion },
    change: async (asked, tx) => {
      const { slug: app_slug, version: name } = asked.params;
      const version = found('version', name, await tx.app_versions.find({ app_slug, version: name }));
      if (version.status === to) {
        return { body: version };
      }
      if (version.status === 'withdrawn') throw isWithdrawn(version);
      if (version.status !== from) {
        throw new AgentError('resource.conflict', { reason: `The version is ${version.status}, not ${from}.` });
      }
      const published_at = to === 'published' ? timeOf(asked) : version.published_at;
      const moved: AppVersion = { ...version, status: to, published_at };
      await tx.app_versions.put(moved);
      await tellVersion(tx, asked, moved, to, `is ${to}`);
      if (to === 'withdrawn') {
        const isOfVersion = (instance: AppInstance) => instance.app_slug === app_slug && instance.app_version === name;
        await notifyInstances(tx, asked, 'version_withdrawn', isOfVersion);
      }
      return { body: moved };
    },
  });
}

export function isWithdrawn({ version }: AppVersion): AgentError {
  const reason = `Version ${version} is withdrawn, and that is for good. Publish its manifest as another version.`;
  return new AgentError('resource.conflict', { reason });
}

const ListQuery = listQuery({ app_slug: Type.Optional(slug) });

function entitlementRoutes(): Route[] {
  return [
    route({
      ...{ method: 'POST', path: '/api/v1/entitlements', tag: 'entitlements' },
      ...{ allow: platform, body: NewEntitlement, answer: Entitlement, status: 201 },
      summary: 'Lets a project launch an app, or every project. Safe to repeat.',
      change: async (asked, tx) => {
        const { app_slug, project_id } = asked.body;
        found('app', app_slug, await tx.apps.get(app_slug));
        if (project_id !== null) {
          found('project', project_id, await tx.projects.get(project_id));
        }
        const before = await tx.entitlements.find({ app_slug, project_id });
        if (before) {
          return { body: before };
        }
        const entitlement: Entitlement = {
          ...{ id: newId(asked.now), app_slug, project_id },
          ...{ created_at: timeOf(asked), created_by: asked.who.tokenId },
        };
        await tx.entitlements.insert(entitlement);
        await tellProject(tx, asked, entitlement, 'app.entitled', 'may launch');
        return { body: entitlement };
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/entitlements', tag: 'entitlements', summary: 'Lists entitlements.' },
      ...{ allow: platform, answer: listOf(Entitlement), query: ListQuery },
      read: async ({ query }, tx) => {
        const where = query.app_slug === undefined ? {} : { app_slug: query.app_slug };
        return page(await tx.entitlements.list({ where, ...pageOptions(query) }), query, (entitlement) => entitlement);
      },
    }),
    route({
      ...{ method: 'DELETE', path: '/api/v1/entitlements/{entitlement_id}', tag: 'entitlements' },
      ...{ allow: platform, params: pathOf('entitlement_id', 'The entitlement.'), answer: Entitlement },
      summary: 'Takes an entitlement back; what runs goes on.',
      change: async (asked, tx) => {
        const { entitlement_id: id } = asked.params;
        const entitlement = found('entitlement', id, await tx.entitlements.get(id));
        await tx.entitlements.delete(id);
        await tellProject(tx, asked, entitlement, 'app.entitlement_removed', 'may no longer launch');
        return { body: entitlement };
      },
    }),
  ];
}

/** The manifest, or everything that is wrong with it, by pointers into it. */
function checkedManifest(source: string, appSlug: string): unknown {
  const read = readProfileText(source);
  const errors = read.ok
    ? read.profile.profile.slug === appSlug
      ? []
      : [{ path: '/profile/slug', code: 'slug', message: `must be ${appSlug}, the app that the version is added to` }]
    : read.errors;
  if (!read.ok || errors.length > 0) {
    throw new AgentError('manifest.invalid', {
      errors: errors.map(({ path, code, message }) => ({ path, code, message })),
    });
  }
  return read.profile;
}

/** Whoever sees the version hears of it. */
export async function tellVersion(
  tx: Tx,
  asked: Cause,
  version: AppVersion,
  happened: string,
  words: string,
  data: Record<string, unknown> = {},
): Promise<void> {
  const { id, app_slug, version: name } = version;
  await appendEvent(tx, asked, {
    ...{ type: `app.version.${happened}`, project_id: audienceOf(await tx.apps.get(app_slug), version) },
    ...{ subject: { kind: 'app_version', id }, message: `${app_slug} ${name} ${words}.`, data },
  });
}

/** Whom it is about hears it. */
async function tellProject(
  tx: Tx,
  asked: Cause,
  { app_slug, project_id }: Entitlement,
  type: string,
  what: string,
): Promise<void> {
  const message = `${project_id ?? 'Every project'} ${what} ${app_slug}.`;
  await appendEvent(tx, asked, {
    ...{ type, project_id: project_id ?? audienceOf(await tx.apps.get(app_slug)) },
    ...{ subject: { kind: 'app', id: app_slug }, message },
  });
}

function timeOf({ now }: Cause): string {
  return new Date(now).toISOString();
}

/**
 * `/api/v1/catalog`: what can be launched. Projects see what is offered and published, entitled or not; the people of
 * the platform see drafts as well, and bring a version from draft to published to withdrawn.
 */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { identifierPattern } from '../../contract/identifiers.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { profileSchemaPath, profileSchemaText } from '../../manifests/gpuaas/profile-schema.ts';
import type { ServerContext } from '../context.ts';
import type { Artifact } from '../db/entities/artifact.ts';
import { type App, AppVersion } from '../db/entities/catalog.ts';
import type { ReadTx } from '../db/store.ts';
import { everybody, found } from '../http/access.ts';
import { openRoute, type Route, route, type Who } from '../http/route.ts';
import { environmentOf, type LaunchEnvironment } from '../launch/environment.ts';
import { eligibilityOf, isEntitled, launchableArtifacts } from './eligibility.ts';
import { launchOptionsRoute } from './launch-options.ts';
import { AppCard, type VersionCard, VersionView } from './views.ts';
import { maySeeApp, maySeeVersion, versionFor } from './visible-version.ts';

const slug = Type.String({ pattern: identifierPattern, description: 'The app.' });
const AppPath = Type.Object({ slug }, { additionalProperties: false });
const VersionPath = Type.Object({ slug, version: AppVersion.properties.version }, { additionalProperties: false });

export function catalogRoutes(context: ServerContext): Route[] {
  const { store } = context;
  const environment = environmentOf(context.settings);
  return [
    route({
      ...{ method: 'GET', path: '/api/v1/catalog/apps', tag: 'catalog', summary: 'Lists the apps of the catalog.' },
      allow: everybody,
      answer: Type.Object(
        { items: Type.Array(AppCard, { description: 'By name.' }) },
        { additionalProperties: false, description: 'The catalog.' },
      ),
      read: async ({ who }, tx) => {
        const items: AppCard[] = [];
        for (const app of await tx.apps.list()) {
          const card = await cardOf(tx, who, app, environment);
          if (card) {
            items.push(card);
          }
        }
        return { items };
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/catalog/apps/{slug}', tag: 'catalog', summary: 'Shows an app.' },
      allow: everybody,
      params: AppPath,
      answer: AppCard,
      read: async ({ who, params }, tx) => {
        const app = await tx.apps.get(params.slug);
        return found('app', params.slug, app && (await cardOf(tx, who, app, environment)));
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/catalog/apps/{slug}/versions/{version}', tag: 'catalog' },
      summary: 'Shows a version with its manifest and the images for it.',
      allow: everybody,
      params: VersionPath,
      answer: VersionView,
      read: async ({ who, params }, tx) => {
        const { app, version } = await versionFor(tx, who, params);
        const profile = version.manifest as WorkloadProfile;
        const artifacts = await launchableArtifacts(tx, version, environment);
        const { source: _source, id: _id, ...shown } = version;
        const entitled = await isEntitled(tx, app.id, who.projectId);
        return {
          ...shown,
          ...eligibilityOf({ app, version, entitled, artifacts, environment }),
          artifacts: choicesOf(profile, artifacts),
        };
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/catalog/apps/{slug}/versions/{version}/manifest', tag: 'catalog' },
      summary: 'The manifest, byte for byte as it was given.',
      allow: everybody,
      params: VersionPath,
      answer: Type.String({ description: 'YAML or JSON.' }),
      produces: 'application/yaml',
      stream: async ({ who, params }) => {
        const { version } = await store.read((tx) => versionFor(tx, who, params));
        return {
          contentType: version.format === 'json' ? 'application/json' : 'application/yaml; charset=utf-8',
          body: Readable.from([Buffer.from(version.source)]),
        };
      },
    }),
    openRoute({
      ...{
        method: 'GET',
        path: profileSchemaPath,
        tag: 'catalog',
        summary: 'The schema that manifests are judged by.',
      },
      answer: Type.Unknown({ description: 'JSON Schema, draft 7.' }),
      produces: 'application/schema+json',
      stream: async () => ({
        contentType: 'application/schema+json; charset=utf-8',
        body: Readable.from([Buffer.from(profileSchemaText())]),
      }),
    }),
    launchOptionsRoute(context),
  ];
}

/** Undefined where the caller must not know of it. */
async function cardOf(tx: ReadTx, who: Who, app: App, environment: LaunchEnvironment): Promise<AppCard | undefined> {
  if (!maySeeApp(who, app)) return undefined;
  const entitled = await isEntitled(tx, app.id, who.projectId);
  const all = await tx.app_versions.list({ where: { app_slug: app.id }, order: 'newest' });
  const versions: VersionCard[] = [];
  for (const { source: _source, manifest, id: _id, ...version } of all.filter((each) => maySeeVersion(who, each))) {
    const artifacts = await launchableArtifacts(tx, { ...version, manifest }, environment);
    const { profile, execution } = manifest as WorkloadProfile;
    versions.push({
      ...{ ...version, ...eligibilityOf({ app, version, entitled, artifacts, environment }) },
      ...{ support_level: profile.support_level, engine: execution.default_engine },
    });
  }
  const { id, ...card } = app;
  return { slug: id, ...card, entitled: entitled ?? null, versions };
}

function choicesOf({ artifacts: declared }: WorkloadProfile, artifacts: readonly Artifact[]) {
  return Object.entries(declared).map(([image, { artifact_name }]) => ({
    ...{ image, artifact_name },
    artifact_ids: artifacts.filter(({ name }) => name === artifact_name).map(({ id }) => id),
  }));
}

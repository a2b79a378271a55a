/** How apps and versions are shown. */
import { type Static, Type } from 'typebox';
import { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { App, AppVersion } from '../db/entities/catalog.ts';
import { closed } from '../db/entities/fields.ts';

const { id: _id, ...card } = App.properties;
const { source: _source, manifest: _manifest, id: _versionId, ...version } = AppVersion.properties;

const Launchable = {
  launchable: Type.Boolean({ description: 'True if it could be launched now.' }),
  reasons: Type.Array(Type.String(), { description: 'Why it could not, one sentence each; empty if it could.' }),
};

export const VersionCard = Type.Object(
  {
    ...version,
    ...Launchable,
    support_level: WorkloadProfile.properties.profile.properties.support_level,
    engine: WorkloadProfile.properties.execution.properties.default_engine,
  },
  { ...closed, description: 'A version, in short.' },
);
export type VersionCard = Static<typeof VersionCard>;

export const AppCard = Type.Object(
  {
    slug: { ...App.properties.id },
    ...card,
    entitled: Type.Union([Type.Boolean(), Type.Null()], {
      description: 'True if the project of the token may launch it; null for a token of no project.',
    }),
    versions: Type.Array(VersionCard, { description: 'Newest first; drafts for the people of the platform only.' }),
  },
  { ...closed, description: 'An app of the catalog.' },
);
export type AppCard = Static<typeof AppCard>;

const ArtifactChoice = Type.Object(
  {
    image: Type.String({ description: 'Name of the image in the manifest, for example `primary_image`.' }),
    artifact_name: Type.String({ description: 'Name that its artifacts have.' }),
    artifact_ids: Type.Array(Type.String(), { description: 'Artifacts that could be launched, newest first.' }),
  },
  { ...closed, description: 'An image of the manifest and what there is for it.' },
);

export const VersionView = Type.Object(
  {
    ...version,
    ...Launchable,
    manifest: Type.Unknown({ description: 'The manifest, parsed. Its own text is at `…/manifest`.' }),
    artifacts: Type.Array(ArtifactChoice, { description: 'Images that it can be launched from.' }),
  },
  { ...closed, description: 'A version with its manifest.' },
);
export type VersionView = Static<typeof VersionView>;

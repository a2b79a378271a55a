/** What can be launched, in which version, and by whom. */
import { type Static, Type } from 'typebox';
import { channels, Digest } from './artifact.ts';
import { closed, id, nullable, text, time } from './fields.ts';

export const App = Type.Object(
  {
    id: id('Slug of the app: its name in addresses and manifests.'),
    display_name: text(128, 'Name for people.'),
    summary: text(500, 'One or two sentences for its card.'),
    category: text(64, 'Group in the catalog, for example `notebook`.'),
    status: Type.Enum(['active', 'hidden'], { description: 'hidden: not offered; what runs goes on.' }),
    created_at: time('When it was added.'),
  },
  { ...closed, description: 'A family of versions and its card in the catalog.' },
);
export type App = Static<typeof App>;

const Locked = Type.Object(
  { artifact_id: id('The artifact.'), digest: Digest },
  { ...closed, description: 'The one image under its name.' },
);

export const ReleaseLock = Type.Object(
  {
    artifacts: Type.Record(Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,127}$' }), Locked, {
      minProperties: 1,
      maxProperties: 32,
      additionalProperties: false,
      description: 'By name of the artifact. A name of the manifest that is not here is not launched.',
    }),
    channel: nullable(
      Type.Enum([...channels], { description: 'Channel.' }),
      'Channel it was read from; null for chosen.',
    ),
    at: time('When.'),
    actor: id('API token that did it.'),
    correlation_id: text(64, 'Request that did it.'),
  },
  { ...closed, description: 'Which images make up the release: the version is launched from these and no others.' },
);
export type ReleaseLock = Static<typeof ReleaseLock>;

export const AppVersion = Type.Object(
  {
    id: id('The version.'),
    app_slug: id('Its app.'),
    version: Type.String({
      pattern: '^[a-zA-Z0-9][a-zA-Z0-9._+-]{0,63}$',
      description: 'For example `2026.04-preview`.',
    }),
    status: Type.Enum(['draft', 'published', 'withdrawn'], {
      description: 'Only published versions can be launched. A manifest never changes once it is published.',
    }),
    format: Type.Enum(['yaml', 'json'], { description: 'What the manifest was written in.' }),
    source: text(1_048_576, 'The manifest, byte for byte as it was given.'),
    manifest: Type.Unknown({ description: 'The same manifest, parsed and checked.' }),
    created_at: time('When it was added.'),
    published_at: nullable(time('When.'), 'When it was published; null before that.'),
    lock: Type.Optional(nullable(ReleaseLock, 'Its images; null or absent: whatever fits is launched.')),
  },
  { ...closed, description: 'A workload profile manifest under a version.' },
);
export type AppVersion = Static<typeof AppVersion>;

export const Entitlement = Type.Object(
  {
    id: id('The entitlement.'),
    app_slug: id('The app.'),
    project_id: nullable(id('The project.'), 'Project that may launch it; null for every project.'),
    created_at: time('When it was granted.'),
    created_by: id('API token that granted it, or `seed`.'),
  },
  { ...closed, description: 'Lets a project launch an app.' },
);
export type Entitlement = Static<typeof Entitlement>;

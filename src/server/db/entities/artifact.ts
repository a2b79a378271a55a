/**
 * Images that may be launched. What an image is (lifecycle) and whether it is believed (trust) are two questions: an
 * image can be promoted and revoked at once, and then it is not launched.
 */
import { type Static, Type } from 'typebox';
import { closed, id, nullable, text, time } from './fields.ts';

export const lifecycles = ['published', 'promoted', 'deprecated', 'retired'] as const;
export const trusts = ['unverified', 'verified', 'failed', 'revoked'] as const;
export const channels = ['dev', 'test', 'staging', 'prod'] as const;
export type Channel = (typeof channels)[number];

export const Digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$', description: 'sha256, lower-case hex.' });

export const Promotion = Type.Object(
  {
    channel: Type.Enum([...channels], { description: 'Where it was promoted to.' }),
    digest: Digest,
    actor: id('API token that did it.'),
    at: time('When.'),
    correlation_id: text(64, 'Request that did it.'),
  },
  { ...closed, description: 'Somebody vouched for it on one channel.' },
);
export type Promotion = Static<typeof Promotion>;

export const Provenance = Type.Object(
  {
    source: nullable(text(512, 'Where.'), 'Repository it was built from; null where nobody said.'),
    revision: nullable(text(128, 'Which.'), 'Revision of that repository; null where nobody said.'),
    builder: nullable(text(256, 'Who.'), 'Who or what built it; null where nobody said.'),
    built_at: nullable(text(40, 'When.'), 'RFC 3339 time of the build; null where nobody said.'),
  },
  { ...closed, description: 'Where it comes from, as its publisher says.' },
);
export type Provenance = Static<typeof Provenance>;

export const endings = ['deprecated', 'retired', 'revoked'] as const;

export const Ending = Type.Object(
  {
    became: Type.Enum([...endings], { description: 'What it became.' }),
    reason: text(500, 'Why, as whoever did it said.'),
    at: time('When.'),
    actor: id('API token that did it.'),
  },
  { ...closed, description: 'Somebody decided that nothing new shall run from it.' },
);
export type Ending = Static<typeof Ending>;

const Verification = Type.Object(
  {
    at: time('When the registry was asked.'),
    actor: id('API token that asked.'),
    message: text(1000, 'What was found.'),
  },
  { ...closed, description: 'The last look at the registry.' },
);

export const Artifact = Type.Object(
  {
    id: id('The artifact.'),
    name: Type.String({
      pattern: '^[a-z0-9][a-z0-9._-]{0,127}$',
      description: 'Name that manifests refer to, for example `runtime-cpu`.',
    }),
    repository: text(512, 'Registry and repository, without tag and digest.'),
    digest: { ...Digest, description: 'Digest that was registered: of an image manifest or of an image index.' },
    media_type: text(256, 'Media type of what that digest names.'),
    platform_digest: nullable(Digest, 'Digest of the image manifest that runs; null until the registry was asked.'),
    size_bytes: nullable(Type.Integer({ minimum: 0 }), 'Size of configuration and layers; null until asked.'),
    lifecycle: Type.Enum([...lifecycles], { description: 'retired is final.' }),
    trust: Type.Enum([...trusts], { description: 'failed: the registry has something else. revoked is final.' }),
    verification: nullable(Verification, 'The last look at the registry; null before the first.'),
    promotions: Type.Array(Promotion, { description: 'Channels it was promoted to, oldest first.' }),
    endings: Type.Optional(
      Type.Array(Ending, { description: 'What ended it, with the reasons, oldest first; absent for nothing.' }),
    ),
    provenance: Provenance,
    created_at: time('When it was registered.'),
    created_by: id('API token that registered it.'),
    updated_at: time('When it last changed.'),
  },
  { ...closed, description: 'An image that was registered.' },
);
export type Artifact = Static<typeof Artifact>;

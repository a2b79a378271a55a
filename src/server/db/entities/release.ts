/** Releases of the agent as they were published: the papers, byte for byte. The files lie beside the store. */
import { type Static, Type } from 'typebox';
import { Release } from '../../../contract/release.ts';
import { closed, id, nullable, text, time } from './fields.ts';

const { seq, version, commit, channel, min_from, floor, expires, artifacts } = Release.properties;

const paper = (description: string) =>
  Type.String({ maxLength: 90_000, pattern: '^[A-Za-z0-9+/]+={0,2}$', description: `${description} Base64.` });

/** The four files that vouch for all others. */
export const Papers = Type.Object(
  {
    manifest: paper('`release.json`.'),
    manifest_signature: paper('`release.json.sig`.'),
    keys: paper('`release-keys.pem`.'),
    keys_signature: paper('`release-keys.pem.sig`.'),
  },
  { ...closed, description: 'What the release is, and who vouches for it.' },
);
export type Papers = Static<typeof Papers>;

export const StoredRelease = Type.Object(
  {
    id: id('The release.'),
    ...{ seq, version, commit, channel, min_from, floor, expires, artifacts },
    keys_seq: Type.Integer({ minimum: 1, description: 'Number of its bundle of signing keys.' }),
    papers: Papers,
    state: Type.Enum(['published', 'withdrawn'], {
      description: 'withdrawn: nobody gets it any more; hosts that run it go on.',
    }),
    withdrawn_reason: nullable(text(500, 'Why.'), 'Why it was withdrawn; null if it was not.'),
    created_at: time('When it was published.'),
    created_by: id('API token that published it.'),
  },
  { ...closed, description: 'A release of the agent.' },
);
export type StoredRelease = Static<typeof StoredRelease>;

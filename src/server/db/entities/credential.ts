/** What projects keep for their launches: secrets that workloads need, and identities that workloads act as. */
import { type Static, Type } from 'typebox';
import { closed, id, text, time } from './fields.ts';

export const credentialKinds = ['ssh_private_key', 'token', 'other'] as const;

/** Shown to people in lists and commands, so it has no character that a terminal or a URL would take for something else. */
const name = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
  description: 'Name for people, unique in the project.',
});

export const AccessCredential = Type.Object(
  {
    id: id('The credential.'),
    project_id: id('Project that it belongs to.'),
    name,
    kind: Type.Enum([...credentialKinds], {
      description: 'What it is. A token is one line; the others are handed over byte for byte.',
    }),
    sealed: text(32_768, 'Its value, sealed under a key that is not in the store.'),
    created_at: time('When it was made.'),
    created_by: id('API token that made it.'),
    value_set_at: time('When its value was last set.'),
  },
  { ...closed, description: 'A secret that a project keeps for its launches. Its value is never answered.' },
);
export type AccessCredential = Static<typeof AccessCredential>;

export const ServiceAccount = Type.Object(
  {
    id: id('The account.'),
    project_id: id('Project that it belongs to.'),
    name,
    role: Type.Enum(['member', 'viewer'], { description: 'What workloads may do that act as it.' }),
    created_at: time('When it was made.'),
    created_by: id('API token that made it.'),
  },
  { ...closed, description: 'Whom a workload acts as. Each instance has a token of its own, which ends with it.' },
);
export type ServiceAccount = Static<typeof ServiceAccount>;

/** Who may ask for what: projects, and the tokens that speak for them. */
import { type Static, Type } from 'typebox';
import { closed, id, nullable, secretHash, text, time } from './fields.ts';

export const Project = Type.Object(
  {
    id: id('The project.'),
    name: Type.String({
      pattern: '^[a-z0-9][a-z0-9-]{0,62}$',
      description: 'Short name, unique: lower-case letters, digits and dashes.',
    }),
    display_name: text(128, 'Name for people.'),
    created_at: time('When it was made.'),
  },
  { ...closed, description: 'Owns allocations and app instances, and pays for them.' },
);
export type Project = Static<typeof Project>;

/** From most to least. `admin` and `operator` belong to the platform, `member` and `viewer` to one project. */
export const roles = ['admin', 'operator', 'member', 'viewer'] as const;
export type Role = (typeof roles)[number];

export const ApiToken = Type.Object(
  {
    id: id('Public part of the token.'),
    name: text(128, 'What it is for.'),
    project_id: nullable(id('Its project.'), 'The only project it can see; null for the platform roles.'),
    role: Type.Enum([...roles], {
      description:
        'admin: everything. operator: fleet, artifacts, catalog. member: launches in its project. viewer: looks.',
    }),
    secret_hash: secretHash('sha256 of the secret part.'),
    created_at: time('When it was made.'),
    created_by: id('Token that made it, or `init`.'),
    expires_at: nullable(time('When it ends.'), 'When it stops working; null for never.'),
    revoked_at: nullable(time('When it was revoked.'), 'When somebody took it back; null while it works.'),
  },
  { ...closed, description: 'A bearer token. Its secret is shown once and kept as a hash.' },
);
export type ApiToken = Static<typeof ApiToken>;

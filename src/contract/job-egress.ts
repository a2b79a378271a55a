/** Where the containers of a job may go, where its network is `allow_list`. */
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;

/** Most addresses of one job. */
export const maxEgressRules = 1024;

const Scheme = Type.Enum(['http', 'https'], { description: 'What is spoken there.' });

export const EgressRule = Type.Object(
  {
    scheme: Scheme,
    host: Type.String({
      minLength: 1,
      maxLength: 253,
      pattern:
        '^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*|\\[[0-9a-f:.]{2,45}\\])$',
      description: 'Host name in lower case and ASCII without a dot at its end, or an address as it stands in a URL.',
    }),
    port: Type.Integer({ minimum: 1, maximum: 65_535, description: 'Port.' }),
  },
  { ...closed, description: 'One place.' },
);
export type EgressRule = Static<typeof EgressRule>;

export const JobEgress = Type.Object(
  {
    rules: Type.Array(EgressRule, { maxItems: maxEgressRules, description: 'Places that may be reached.' }),
    any_public: Type.Array(Scheme, {
      maxItems: 2,
      description: 'Schemes in which every public address may be reached, on any port; empty for none.',
    }),
  },
  {
    ...closed,
    description:
      'What the proxy of the job lets through. Names are resolved for each connection, and never to an address that is private.',
  },
);
export type JobEgress = Static<typeof JobEgress>;

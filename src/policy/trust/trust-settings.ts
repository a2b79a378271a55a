/** Whose manifests a host carries out: what its operator has settled in `trust.json`. */
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;

/** How a rule judges a manifest that wants the network. */
export const trustModes = ['all', 'none', 'whitelist'] as const;
export type TrustMode = (typeof trustModes)[number];

const Mode = (description: string) => Type.Enum([...trustModes], { description });

export const certificateIdPattern = '^[0-9a-f]{128}$';

const rules = (description: string) =>
  Type.Record(Type.String({ pattern: certificateIdPattern }), Mode('How far what it vouches for is believed.'), {
    additionalProperties: false,
    maxProperties: 512,
    default: {},
    description,
  });

export const WhitelistEntry = Type.Object(
  {
    pattern: Type.String({
      minLength: 1,
      maxLength: 1024,
      description: 'Name of a host for `strict`, a regular expression of RE2 for `regex`.',
    }),
    match: Type.Enum(['strict', 'regex'], {
      description: '`strict`: the whole name, in lower case. `regex`: found anywhere in the name, in any case.',
    }),
  },
  { ...closed, description: 'Hosts that a manifest may name.' },
);
export type WhitelistEntry = Static<typeof WhitelistEntry>;

export const TrustSettings = Type.Object(
  {
    outbound: Type.Object(
      {
        enabled: Type.Boolean({
          default: true,
          description: 'False refuses every manifest that wants the network, whoever signed it.',
        }),
        everyone: Type.Enum([...trustModes], {
          default: 'whitelist',
          description: 'Which manifests may have the network without a signature.',
        }),
        audited_payload: rules(
          'By the ID of a certificate: how far a manifest is believed that was signed by it or below it. The rule nearest to the signer decides.',
        ),
        partner: rules(
          'By the ID of a certificate: how far a project is believed that was made a partner by it or below it. The rule nearest to the signer decides.',
        ),
      },
      { ...closed, default: {}, description: 'Manifests that want the network. One rule that accepts is enough.' },
    ),
    whitelist: Type.Array(WhitelistEntry, {
      maxItems: 2048,
      default: [],
      description: 'Hosts that rules of the mode `whitelist` let through.',
    }),
    compat: Type.Enum(['strict', 'yagna'], {
      default: 'strict',
      description: 'How the commands of manifests are compared: by this project’s rules, or as yagna does.',
    }),
    undated: Type.Enum(['refuse', 'accept'], {
      default: 'refuse',
      description: 'What becomes of a manifest that does not say until when it holds.',
    }),
  },
  { ...closed, description: 'Whose manifests this host carries out: /etc/gpuaas-node-agent/trust.json.' },
);
export type TrustSettings = Static<typeof TrustSettings>;

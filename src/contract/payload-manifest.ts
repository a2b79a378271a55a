/**
 * The computation payload manifest of Golem: what its requestor promises, often signed by the author of an application. It travels
 * with the plan, so that the host that carries the plan out can hold one against the other itself.
 *
 * Property names and the freedom to have others beside them are those of the published schema. What the text of a rule means is
 * said in `policy/promises`.
 */
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;
/** Semantic Versioning 2.0.0. */
const semver =
  '^(0|[1-9]\\d*)\\.(0|[1-9]\\d*)\\.(0|[1-9]\\d*)(-(0|[1-9]\\d*|\\d*[A-Za-z-][0-9A-Za-z-]*)(\\.(0|[1-9]\\d*|\\d*[A-Za-z-][0-9A-Za-z-]*))*)?(\\+[0-9A-Za-z-]+(\\.[0-9A-Za-z-]+)*)?$';
const Version = (description: string) => Type.String({ maxLength: 256, pattern: semver, description });
/** RFC 3339 with a time zone. Whether it is a day that there is, is judged where it is read. */
const rfc3339 = '^\\d{4}-\\d{2}-\\d{2}[Tt]\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?([Zz]|[+-]\\d{2}:\\d{2})$';
const Time = (description: string) => Type.String({ pattern: rfc3339, description });
const label = (description: string) => Type.String({ maxLength: 4096, description });

/** `sha3:` with 28, 32, 48 or 64 bytes in hex, or `sha256:` where all addresses are OCI images by digest. */
const payloadHashPattern =
  '^(sha3:([0-9a-fA-F]{56}|[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128})|sha256:[0-9a-f]{64})$';

/** What the two have in common: that of a manifest, which may say more, and that of a plan. */
function payloadOf(options: { readonly additionalProperties?: false }) {
  return Type.Object(
    {
      platform: Type.Optional(
        Type.Object(
          {
            arch: Type.String({ minLength: 1, maxLength: 64, description: 'Architecture, such as `x86_64`.' }),
            os: Type.String({ minLength: 1, maxLength: 64, description: 'Operating system; hosts are `linux`.' }),
            osVersion: Type.Optional(
              Type.String({ maxLength: 64, description: 'Version of the operating system. Shown, and not judged.' }),
            ),
          },
          { ...options, description: 'What it runs on; on any platform if absent.' },
        ),
      ),
      urls: Type.Array(
        Type.String({
          minLength: 1,
          maxLength: 4096,
          pattern: '^[A-Za-z][A-Za-z0-9+.-]*:[^\\u0000-\\u0020\\u007f]+$',
          description:
            'Where it is: `http(s)://…` of a GVMI image (squashfs), or `docker://registry/repository@sha256:…` of an OCI image.',
        }),
        { minItems: 1, maxItems: 64, description: 'Addresses of the same image, tried in order.' },
      ),
      hash: Type.String({
        pattern: payloadHashPattern,
        description:
          'Hash of the image: `sha3:` and hex, whose length says which SHA-3; `sha256:` is that of OCI addresses.',
      }),
    },
    { ...options, description: 'An image.' },
  );
}

const ManifestPayload = payloadOf({});
/** An image of a manifest, as a plan names it. */
export const PlanPayload = payloadOf(closed);
export type PlanPayload = Static<typeof PlanPayload>;

const ociScheme = 'docker://';

/** The OCI image that a payload is, by each reference that it may be pulled by; none for one that is downloaded. */
export function ociReferences({ urls }: PlanPayload): string[] {
  return urls.flatMap((url) => (url.startsWith(ociScheme) ? url.slice(ociScheme.length) : []));
}

const Script = Type.Object(
  {
    commands: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 65_536, description: 'A rule: text, or JSON in a text.' }), {
        maxItems: 1024,
        description: 'What may be run and transferred. `deploy`, `start` and `terminate` always may.',
      }),
    ),
    match: Type.Optional(
      Type.Enum(['strict', 'regex'], { description: 'How rules are compared that do not say so; strict if absent.' }),
    ),
  },
  { description: 'Commands that it promises to keep to.' },
);

const Out = Type.Object(
  {
    protocols: Type.Optional(
      Type.Array(Type.Enum(['http', 'https'], { description: 'A protocol.' }), {
        maxItems: 2,
        description: 'Protocols that may be spoken; both if absent.',
      }),
    ),
    urls: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 4096, description: 'Its scheme, host and port count.' }), {
        maxItems: 1024,
        description: 'Addresses that may be reached.',
      }),
    ),
    unrestricted: Type.Optional(
      Type.Object(
        { urls: Type.Boolean({ description: 'True to reach any public address.' }) },
        { description: 'Instead of a list of addresses.' },
      ),
    ),
  },
  { description: 'Addresses that it promises to keep to.' },
);

const CompManifest = Type.Object(
  {
    version: Version('Version of the form of this object.'),
    script: Type.Optional(Script),
    net: Type.Optional(
      Type.Object(
        {
          inet: Type.Optional(Type.Object({ out: Type.Optional(Out) }, { description: 'The public Internet.' })),
        },
        { description: 'Network; none if absent.' },
      ),
    ),
  },
  { description: 'What it promises to keep to.' },
);

const about = {
  name: label('Name of the application.'),
  version: Type.Optional(label('Version of the application.')),
  description: Type.Optional(label('What it is for.')),
  authors: Type.Optional(Type.Array(label('A person.'), { maxItems: 64, description: 'Who made it.' })),
  homepage: Type.Optional(label('Where more is said.')),
};
/** What is shown of a manifest, without what else its author may have written there. */
export const ManifestAbout = Type.Object(about, { ...closed, description: 'What its author says of it.' });
export type ManifestAbout = Static<typeof ManifestAbout>;

export const PayloadManifest = Type.Object(
  {
    version: Version('Version of the form of the manifest.'),
    createdAt: Type.Optional(Time('When it was made.')),
    expiresAt: Type.Optional(Time('Until when it holds.')),
    metadata: Type.Optional(Type.Object(about, { description: 'What is shown of it.' })),
    payload: Type.Array(ManifestPayload, { minItems: 1, maxItems: 64, description: 'Images, one for each platform.' }),
    compManifest: Type.Optional(CompManifest),
  },
  { description: 'A computation payload manifest.' },
);
export type PayloadManifest = Static<typeof PayloadManifest>;

const base64 = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: '^[A-Za-z0-9+/]+={0,2}$', description });

const signature = {
  signature: base64(16_384, 'Signature, base64, over the base64 text that is signed.'),
  algorithm: Type.String({
    pattern: '^[a-zA-Z0-9-]{1,32}$',
    description: 'Digest of the signature by its OpenSSL name, such as `sha256`.',
  }),
  certificate: base64(
    262_144,
    'Base64 of the certificate of the signer: DER, or a stack of PEM in which the signer comes last.',
  ),
};

/** A manifest as its requestor sends it: its bytes, and what proves whose they are. */
export const SignedManifest = Type.Object(
  {
    manifest: base64(1_048_576, 'Base64 of the manifest, which is JSON. It is this text that is signed.'),
    proof: Type.Optional(
      Type.Object(signature, { ...closed, description: 'Signature of an author; unsigned if absent.' }),
    ),
    partner: Type.Optional(
      Type.Object(
        {
          document: base64(16_384, 'Base64 of JSON `{projectId, notBefore, notAfter}`: which project is a partner.'),
          ...signature,
        },
        { ...closed, description: 'What proves that its project is a partner of somebody whom the operator knows.' },
      ),
    ),
  },
  { ...closed, description: 'The manifest of a job.' },
);
export type SignedManifest = Static<typeof SignedManifest>;

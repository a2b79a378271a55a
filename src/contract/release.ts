/**
 * A release: what is in its folder, who vouches for it, and the texts that are signed.
 *
 *   release root (offline) ── signs ──▶ release-keys.pem ── holds ──▶ signing key ── signs ──▶ release.json ── names by
 *   sha256 ──▶ the artifacts
 *
 * A signature is a file beside what it signs (`.sig`): 64 raw bytes, Ed25519 over `<domain>\n` and the exact bytes of the
 * file, so that `openssl pkeyutl -verify -rawin` can judge it as well. `seq` decides which of two releases is newer, never
 * the version. `policy/release-trust.ts` judges.
 */
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;

/** First line of what a release root signs. */
export const releaseKeysDomain = 'gpuaas-release-keys-v1';
/** First line of what a signing key signs. */
export const releaseDomain = 'gpuaas-release-v1';

/** The four papers of a release; everything else in its folder is named by the first. */
export const releasePapers = {
  manifest: 'release.json',
  manifestSignature: 'release.json.sig',
  keys: 'release-keys.pem',
  keysSignature: 'release-keys.pem.sig',
} as const;

/** Most bytes of one paper. */
export const maxPaperBytes = 64 * 1024;

/**
 * The first line of a bundle of signing keys. Of two bundles the one with the higher number counts: a host that has seen it
 * takes no older one, in which a key may still be that was lost.
 */
export const releaseKeysHeader = /^# gpuaas-release-keys\.v1 seq=([1-9][0-9]{0,8})$/;

/** A name of a folder on hosts. A pattern of `sh` and sed as well: `systemd/` judges by the same. */
export const releaseVersionPattern = '^[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]{1,32})?$';
/** Stages of a rollout are named by those who run it. */
export const releaseChannelPattern = '^[a-z][a-z0-9-]{0,31}$';

const sequence = { minimum: 0, maximum: 999_999_999 } as const;
const sha256 = (description: string) => Type.String({ pattern: '^[0-9a-f]{64}$', description });
const bytes = (description: string) => Type.Integer({ minimum: 1, maximum: 1024 ** 3, description });

export const ReleaseVersion = Type.String({
  ...{ pattern: releaseVersionPattern, maxLength: 64 },
  description: 'Version of agent and control plane, for example `1.4.0` or `1.5.0-rc.1`.',
});

export const artifactKinds = ['agent', 'host', 'compose', 'control_plane', 'sbom', 'bootstrap', 'licences'] as const;
export const releaseArchitectures = ['x64', 'arm64'] as const;

export type ReleaseArchitecture = (typeof releaseArchitectures)[number];

export const ReleaseArtifact = Type.Object(
  {
    name: Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
      description: 'Name of the file in the folder.',
    }),
    kind: Type.Enum([...artifactKinds], { description: 'What it is; at most one of a kind for each processor.' }),
    os: Type.Enum(['linux', 'any'], { description: 'Operating system that it runs on.' }),
    arch: Type.Enum([...releaseArchitectures, 'any'], { description: 'Processor that it runs on, as Node calls it.' }),
    size: bytes('Bytes of the file.'),
    sha256: sha256('Hash of the file, hexadecimal.'),
    unpacked_size: Type.Optional(bytes('Bytes of what is in it; for a file that is compressed.')),
    unpacked_sha256: Type.Optional(sha256('Hash of what is in it; for a file that is compressed.')),
  },
  { ...closed, description: 'A file of the release.' },
);
export type ReleaseArtifact = Static<typeof ReleaseArtifact>;

export const Release = Type.Object(
  {
    schema: Type.Literal('gpuaas-release.v1', { description: 'Form of this document.' }),
    seq: Type.Integer({ ...sequence, minimum: 1, description: 'Place in the order of all releases: higher is newer.' }),
    version: ReleaseVersion,
    commit: Type.String({ pattern: '^[0-9a-f]{40}$', description: 'Revision that it was built from.' }),
    channel: Type.String({ pattern: releaseChannelPattern, description: 'For whom it is meant, `stable` for all.' }),
    min_from: Type.Integer({
      ...sequence,
      description: '`seq` that a host must have at least to update to this in one step; 0 for any.',
    }),
    floor: Type.Integer({
      ...sequence,
      description: 'Once a host has this release, it never again takes one with a lower `seq`, whoever asks.',
    }),
    expires: Type.String({
      pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$',
      description:
        'After this nobody begins to install it: an old release cannot be kept alive by holding back newer ones.',
    }),
    artifacts: Type.Array(ReleaseArtifact, {
      ...{ minItems: 1, maxItems: 32 },
      description: 'All files of the release but its papers and `SHA256SUMS`; one a line in the document.',
    }),
  },
  { ...closed, description: 'What a release is. Signed, by a key that the release root vouches for.' },
);
export type Release = Static<typeof Release>;

/** The document as it is written: a line for each value and for each artifact, which `sed` and `grep` can read. */
export function releaseText({ artifacts, ...release }: Release): string {
  const names = Object.keys(Release.properties) as (keyof Release)[];
  const values = names.flatMap((name) => (name === 'artifacts' ? [] : [[name, release[name]] as const]));
  const lines = values.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)},\n`);
  return `{\n${lines.join('')}"artifacts":[\n${artifacts.map((each) => JSON.stringify(each)).join(',\n')}\n]}\n`;
}

/** What a signature is made over. */
export function signedReleaseBytes(domain: string, file: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${domain}\n`), file]);
}

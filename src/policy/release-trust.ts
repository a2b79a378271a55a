/**
 * Whether a release may be believed, and whether this host may take it. Pure: every place that meets a release (the agent
 * that downloads it, the root process that installs it, the control plane that offers it) asks here, each for itself.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { IdentityKey } from '../contract/enrolment.ts';
import { AgentError, type FailureCode, type FailureDetail } from '../contract/failures.ts';
import {
  maxPaperBytes,
  Release,
  type ReleaseArtifact,
  releaseDomain,
  releaseKeysDomain,
  releaseKeysHeader,
  signedReleaseBytes,
} from '../contract/release.ts';
import { readStrictJson } from '../contract/strict-json.ts';
import { judge } from '../contract/validate.ts';

/** The exact bytes of the four papers. */
export interface ReleasePapers {
  readonly manifest: Uint8Array;
  readonly manifestSignature: Uint8Array;
  readonly keys: Uint8Array;
  readonly keysSignature: Uint8Array;
}

/** A release whose papers are in order. */
export interface TrustedRelease {
  readonly release: Release;
  /** Number of the bundle of signing keys; to be remembered with the release once it is installed. */
  readonly keysSeq: number;
}

/** What a host has seen, kept by `systemd/guard` where no agent can write; no number ever falls. All 0 on a new host. */
export interface ReleaseMemory {
  /** The highest `seq` that was ever kept here. */
  readonly seq: number;
  /** The highest `floor` of them. */
  readonly floor: number;
  /** The highest number of a bundle of signing keys. */
  readonly keysSeq: number;
}

export interface ReleaseStanding {
  readonly memory: ReleaseMemory;
  /** A time that can be believed, in milliseconds since 1970; null where there is none: then nothing expires. */
  readonly now: number | null;
  /** What runs. Undefined on a host that has no agent yet, `seq` 0 for one that came without a release. */
  readonly current?: { readonly version: string; readonly seq: number };
  /** The only version that the operator allows here, or null. */
  readonly pinned: string | null;
  /** Versions that were rolled back here, or are not wanted. */
  readonly skipped: readonly string[];
  readonly arch: string;
  /** An operator of this host asks for an older version on purpose. It is no way below the floor. */
  readonly downgrade?: boolean;
}

const maxKeys = 8;
const pemBlock = /-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]{1,200}-----END PUBLIC KEY-----\n/g;

/**
 * The release, if its papers are in order: the root signed the keys, one of them signed the manifest, and that says what a
 * manifest says. Throws `update.untrusted`.
 */
export function trustRelease(papers: ReleasePapers, root: IdentityKey): TrustedRelease {
  const { seq, keys } = readReleaseKeys(papers.keys, papers.keysSignature, root);
  const { manifest, manifestSignature } = papers;
  refuseLong('manifest', manifest);
  if (!keys.some((key) => isSigned(releaseDomain, manifest, manifestSignature, key))) {
    throw untrusted('None of the release keys has signed the manifest as it is.', { keys_seq: seq });
  }
  return { release: readManifest(manifest), keysSeq: seq };
}

/** Signing keys that the root vouches for, and the number of their bundle. */
export interface ReleaseKeys {
  readonly seq: number;
  readonly keys: readonly KeyObject[];
}

/** The signing keys, if the root signed their bundle. Throws `update.untrusted`. */
export function readReleaseKeys(bundle: Uint8Array, signature: Uint8Array, root: IdentityKey): ReleaseKeys {
  refuseLong('release keys', bundle);
  if (!isSigned(releaseKeysDomain, bundle, signature, createPublicKey({ key: root, format: 'jwk' }))) {
    throw untrusted('The release root has not signed the release keys as they are.', {});
  }
  const text = Buffer.from(bundle).toString('latin1');
  const seq = Number(releaseKeysHeader.exec(text.split('\n', 1)[0] ?? '')?.[1]);
  const keys = (text.match(pemBlock) ?? []).map((pem) => createPublicKey(pem));
  if (
    !(seq > 0) ||
    keys.length === 0 ||
    keys.length > maxKeys ||
    keys.some((key) => key.asymmetricKeyType !== 'ed25519')
  ) {
    throw untrusted('The release keys are not a numbered list of Ed25519 keys.', { keys: keys.length });
  }
  return { seq, keys };
}

/** Throws unless this host may take the release, as `update.*`: first what nobody can change, last what the operator can. */
export function admitRelease({ release, keysSeq }: TrustedRelease, standing: ReleaseStanding): void {
  const { memory, now, current, downgrade = false } = standing;
  const { version, seq, floor, min_from, expires } = release;
  const refuse = (code: FailureCode, detail: FailureDetail) => {
    throw new AgentError(code, { version, seq, ...detail });
  };
  if (keysSeq < memory.keysSeq) {
    throw untrusted('Its release keys are older than those that this host has seen.', {
      ...{ version, keys_seq: keysSeq, seen: memory.keysSeq },
    });
  }
  if (now !== null && now >= Date.parse(expires)) refuse('update.expired', { expires });
  if (seq < memory.floor) refuse('update.below_floor', { floor: memory.floor });
  if (floor > seq) refuse('update.below_floor', { floor });
  if (seq < memory.seq && !downgrade) refuse('update.older', { seen: memory.seq });
  artifactFor(release, 'agent', standing.arch);
  if (current && current.version !== version && current.seq < min_from) {
    refuse('update.step_missing', { from: current.version, from_seq: current.seq, min_from });
  }
  if (standing.pinned !== null && standing.pinned !== version) refuse('update.pinned', { pinned: standing.pinned });
  if (standing.skipped.includes(version)) refuse('update.skipped', {});
}

/** Both: the release that these papers are, for this host to take. */
export function judgeRelease(papers: ReleasePapers, root: IdentityKey, standing: ReleaseStanding): TrustedRelease {
  const trusted = trustRelease(papers, root);
  admitRelease(trusted, standing);
  return trusted;
}

/** The file of a release for a processor. Throws `update.no_artifact`. */
export function artifactFor(release: Release, kind: ReleaseArtifact['kind'], arch: string): ReleaseArtifact {
  const found = release.artifacts.find((each) => each.kind === kind && (each.arch === arch || each.arch === 'any'));
  if (found) return found;
  throw new AgentError('update.no_artifact', { version: release.version, kind, arch });
}

/** Throws `update.damaged` unless a file is the one that the manifest names. `packed` is about the file as it travels. */
export function judgeArtifact(
  { name, ...wanted }: ReleaseArtifact,
  form: 'packed' | 'unpacked',
  got: { readonly size: number; readonly sha256: string },
): void {
  const size = form === 'packed' ? wanted.size : wanted.unpacked_size;
  const sha256 = form === 'packed' ? wanted.sha256 : wanted.unpacked_sha256;
  if (got.size !== size) {
    throw new AgentError('update.damaged', { file: name, form, size: got.size, wanted: size ?? null });
  }
  if (got.sha256 !== sha256) {
    throw new AgentError('update.damaged', { file: name, form, sha256: got.sha256, wanted: sha256 ?? null });
  }
}

/** The public root out of a PEM (SPKI), the form in which people hand it on. Throws `file.unusable`. */
export function releaseRootOf(pem: string): IdentityKey {
  try {
    const { kty, crv, x } = createPublicKey(pem).export({ format: 'jwk' });
    if (kty === 'OKP' && crv === 'Ed25519' && x !== undefined) return { kty, crv, x };
  } catch (cause) {
    throw new AgentError('file.unusable', { reason: 'It is no PEM of a public key.' }, { cause });
  }
  throw new AgentError('file.unusable', { reason: 'A release root is an Ed25519 key.' });
}

/** The sha256 of bytes, as manifests write it. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** What a manifest says, whoever signed it. Throws `update.untrusted`. */
export function readManifest(bytes: Uint8Array): Release {
  const read = readStrictJson(bytes);
  const judged = read.ok ? judge(Release, read.value) : read;
  if (!judged.ok) {
    throw untrusted('The manifest is none.', {
      errors: judged.errors.map(({ path, message }) => ({ path, message })),
    });
  }
  const { artifacts, expires } = judged.value;
  const names = new Set(artifacts.map(({ name }) => name));
  const kinds = new Set(artifacts.map(({ kind, arch }) => `${kind} ${arch}`));
  if (names.size < artifacts.length || kinds.size < artifacts.length)
    throw untrusted('The manifest names a file twice.', {});
  if (Number.isNaN(Date.parse(expires))) throw untrusted('The manifest expires at no time there is.', { expires });
  return judged.value;
}

function isSigned(domain: string, file: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  return signature.length === 64 && verify(null, signedReleaseBytes(domain, file), key, signature);
}

function refuseLong(what: string, file: Uint8Array): void {
  if (file.length > maxPaperBytes) throw untrusted(`The ${what} are longer than any.`, { bytes: file.length });
}

function untrusted(reason: string, detail: FailureDetail): AgentError {
  return new AgentError('update.untrusted', { reason, ...detail });
}

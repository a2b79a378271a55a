/**
 * Whether a text was signed by somebody whom the operator of this host knows.
 *
 * A signature is detached and over a base64 text as it stands: of a manifest, or of what makes a project a partner. Its digest is said by
 * the name that OpenSSL has for it. The certificate of the signer comes alone, as DER, or last in a stack of PEM.
 */
import { constants, type KeyObject, verify } from 'node:crypto';
import type { SignedManifest } from '../../contract/payload-manifest.ts';
import { type Keystore, type Known, nameOf, readCertificates } from './certificates.ts';
import { findChain } from './chain.ts';

export type Proof = NonNullable<SignedManifest['proof']>;

export type Proven =
  /** From the signer up to one of the keystore. */
  { readonly ok: true; readonly chain: readonly Known[] } | { readonly ok: false; readonly why: string };

/** Of RSA and ECDSA; what others can make collide is not in it. */
const digests: ReadonlySet<string> = new Set(['sha256', 'sha384', 'sha512', 'sha3-256', 'sha3-384', 'sha3-512']);
/** Keys that sign without a digest of one's choice are named instead of it. */
const ownDigest: ReadonlySet<string> = new Set(['ed25519', 'ed448']);
const maxTextBytes = 2 ** 21;

/** `signedText` is base64; `now` in milliseconds since 1970. `why` is a sentence. */
export function verifyProof(signedText: string, proof: Proof, keystore: Keystore, now: number): Proven {
  const algorithm = proof.algorithm.toLowerCase();
  if (!digests.has(algorithm) && !ownDigest.has(algorithm)) {
    const accepted = [...digests, ...ownDigest].join(', ');
    return refused(`Signatures by ${proof.algorithm} are not accepted; accepted are ${accepted}.`);
  }
  const [signature, stack, signed] = [proof.signature, proof.certificate, signedText].map(readBase64);
  if (!signed || signedText.length > maxTextBytes)
    return refused('The text that is signed is not base64 as it has to be.');
  if (!signature) return refused('The signature is not base64 as it has to be.');
  if (!stack) return refused('The certificate is not base64 as it has to be.');
  const read = readCertificates(stack);
  if (!read.ok) return refused(`What was sent as the certificate of its signer ${read.why}.`);
  const signer = read.certificates.at(-1);
  if (!signer) return refused('There is no certificate of its signer.');
  const why = whyNotBy(signer, { algorithm, signature, text: signedText, others: read.certificates.slice(0, -1) });
  return why === undefined ? findChain(signer, read.certificates, keystore, now) : refused(why);
}

interface Signed {
  readonly algorithm: string;
  readonly signature: Uint8Array;
  readonly text: string;
  readonly others: readonly Known[];
}

/** Undefined where the signer has signed the text. */
function whyNotBy(signer: Known, { algorithm, signature, text, others }: Signed): string | undefined {
  const isBy = ({ certificate }: Known, bytes: Uint8Array) =>
    isSigned(certificate.publicKey, algorithm, bytes, signature);
  const bytes = Buffer.from(text, 'latin1');
  try {
    if (isBy(signer, bytes)) return undefined;
    const other = others.find((each) => isBy(each, bytes));
    if (other) return `It was signed by ${nameOf(other)}, which is not the last of the stack, as the signer has to be.`;
    const wanted = algorithmFor(signer.certificate.publicKey);
    if (wanted !== undefined && wanted !== algorithm)
      return `A key of the kind ${wanted} signs by ${wanted}, not by ${algorithm}.`;
    if (isBy(signer, Buffer.concat([bytes, Buffer.from('\n')]))) {
      return 'The signature is over the base64 text and a line break behind it; sign the text alone.';
    }
    if (isBy(signer, Buffer.from(text, 'base64'))) {
      return 'The signature is over what the base64 text stands for; sign the base64 text itself.';
    }
  } catch {
    return `The key of ${nameOf(signer)} cannot be used.`;
  }
  return `The signature is not one of ${nameOf(signer)} over this text by ${algorithm}.`;
}

/** Where the key itself says it. */
function algorithmFor({ asymmetricKeyType: type }: KeyObject): string | undefined {
  return type && ownDigest.has(type) ? type : undefined;
}

function isSigned(key: KeyObject, algorithm: string, text: Uint8Array, signature: Uint8Array): boolean {
  const own = algorithmFor(key);
  if (own !== undefined) return own === algorithm && verify(null, text, key, signature);
  if (!digests.has(algorithm)) return false;
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return verify(algorithm, text, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
    case 'ec':
      return verify(algorithm, text, { key, dsaEncoding: 'der' }, signature);
    default:
      return false;
  }
}

/** Undefined where it is anything but what an encoder writes on one line: a reader that is lenient finds the same in several texts. */
export function readBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  return text !== '' && bytes.toString('base64') === text ? bytes : undefined;
}

function refused(why: string): Proven {
  return { ok: false, why };
}

/**
 * From the certificate of a signer up to one that the operator has imported.
 *
 *   signer ─▶ certificates of the stack and of the keystore ─▶ one of the keystore: if possible a root
 *
 * A chain goes as far up as the keystore has it, and holds where each of its certificates holds now and may sign the one below. A
 * certificate that was imported is believed in itself: its own issuer need not be known.
 */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { type Keystore, type Known, nameOf } from './certificates.ts';
import { type Extensions, readExtensions } from './der.ts';

/** From the signer upwards. */
type Chain = readonly Known[];

export type FoundChain = { readonly ok: true; readonly chain: Chain } | { readonly ok: false; readonly why: string };

/** Most certificates of a chain, and most signatures that are looked at to find one. */
const [maxLength, maxLooks] = [8, 64];

/** RSA, ECDSA with SHA-2 or SHA-3, Ed25519 and Ed448: what nobody can forge. */
const strongSignatures: ReadonlySet<string> = new Set([
  ...['1.2.840.113549.1.1.11', '1.2.840.113549.1.1.12', '1.2.840.113549.1.1.13'],
  ...['1.2.840.10045.4.3.2', '1.2.840.10045.4.3.3', '1.2.840.10045.4.3.4'],
  ...['2.16.840.1.101.3.4.3.10', '2.16.840.1.101.3.4.3.11', '2.16.840.1.101.3.4.3.12'],
  ...['2.16.840.1.101.3.4.3.14', '2.16.840.1.101.3.4.3.15', '2.16.840.1.101.3.4.3.16'],
  ...['1.3.101.112', '1.3.101.113'],
]);
const strongCurves: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const rsaBits = { least: 2048, most: 8192 };

interface Search {
  readonly imported: ReadonlySet<string>;
  readonly pool: readonly Known[];
  readonly now: number;
  looks: number;
  /** As far up as anything leads. */
  highest: Chain;
  /** Why the first chain that leads into the keystore does not hold; a sentence. */
  fault: string | undefined;
}

/** `now` in milliseconds since 1970. `why` is a sentence. */
export function findChain(signer: Known, stack: readonly Known[], keystore: Keystore, now: number): FoundChain {
  const pool = [...new Map([...stack, ...keystore].map((each) => [each.id, each])).values()];
  const imported = new Set(keystore.map(({ id }) => id));
  const search: Search = { imported, pool, now, looks: 0, highest: [signer], fault: undefined };
  const chain = climb([signer], search);
  return chain ? { ok: true, chain } : { ok: false, why: search.fault ?? whyUnknown(search) };
}

/** The longest ways first: what is above may have a rule of its own. */
function climb(chain: Chain, search: Search): Chain | undefined {
  if (chain.length > search.highest.length) search.highest = chain;
  for (const longer of longerBy(chain, search)) {
    const found = climb(longer, search);
    if (found) return found;
  }
  const top = chain.at(-1);
  if (!top || !search.imported.has(top.id)) return undefined;
  const fault = faultOf(chain, search.now);
  search.fault ??= fault;
  return fault === undefined ? chain : undefined;
}

function* longerBy(chain: Chain, search: Search): Generator<Chain> {
  const top = chain.at(-1);
  if (!top || chain.length === maxLength) return;
  for (const above of search.pool) {
    if (chain.some(({ id }) => id === above.id) || top.certificate.issuer !== above.certificate.subject) continue;
    search.looks += 1;
    if (search.looks > maxLooks) return;
    if (hasSigned(above, top)) yield [...chain, above];
  }
}

function whyUnknown({ highest, looks }: Search): string {
  if (looks > maxLooks) return 'There are too many ways from its signer up: send a stack with one chain.';
  const top = highest.at(-1) as Known;
  return top.certificate.issuer === top.certificate.subject
    ? `The keystore of this host does not have ${nameOf(top)}, where the chain of its signer ends.`
    : `Neither the stack nor the keystore of this host has who issued ${nameOf(top)}.`;
}

function hasSigned({ certificate: above }: Known, { certificate: below }: Known): boolean {
  try {
    return below.verify(above.publicKey);
  } catch {
    // A key of another kind than the signature.
    return false;
  }
}

/** A sentence; undefined where the chain holds. */
function faultOf(chain: Chain, now: number): string | undefined {
  for (const [index, known] of chain.entries()) {
    const isAnchor = index === chain.length - 1;
    const fault = faultAlone(known, now, isAnchor) ?? faultOfUse(known, chain.slice(0, index));
    if (fault !== undefined) return `${nameOf(known)} ${fault}.`;
  }
  return undefined;
}

/** Why an imported certificate leads nowhere at `now`; continues a sentence. Undefined where it is in order. */
export function troubleOf(known: Known, now: number): string | undefined {
  return faultAlone(known, now, true);
}

function faultAlone({ certificate }: Known, now: number, isAnchor: boolean): string | undefined {
  const { validFromDate: from, validToDate: to } = certificate;
  if (now < from.getTime()) return `does not hold before ${from.toISOString()}`;
  if (now > to.getTime()) return `has expired on ${to.toISOString()}`;
  const weakness = weaknessOf(certificate);
  if (weakness !== undefined) return weakness;
  if (!isAnchor && !strongSignatures.has(certificate.signatureAlgorithmOid)) {
    return `was signed with ${certificate.signatureAlgorithm ?? 'what nobody knows'}, which is not accepted`;
  }
  const [unknown] = extensionsOf(certificate).unknown;
  return unknown === undefined
    ? undefined
    : `restricts its use by an extension that is not understood here (${unknown})`;
}

/** `below`: the chain from the signer up to it. */
function faultOfUse({ certificate }: Known, below: Chain): string | undefined {
  const { isCa, pathLength, keyUsage } = extensionsOf(certificate);
  if (below.length === 0) {
    return keyUsage && !keyUsage.signs ? 'is for a key that is not to sign anything but certificates' : undefined;
  }
  if (!isCa) return 'is not that of an authority, and cannot issue others';
  if (keyUsage && !keyUsage.signsCertificates) return 'is for a key that is not to sign certificates';
  const between = below.slice(1).filter(({ certificate: each }) => each.issuer !== each.subject).length;
  return pathLength !== undefined && between > pathLength
    ? `allows ${pathLength} authorities below it, and there are ${between}`
    : undefined;
}

function extensionsOf({ raw }: X509Certificate): Extensions {
  try {
    return readExtensions(raw);
  } catch {
    return {
      isCa: false,
      pathLength: 0,
      keyUsage: { signs: false, signsCertificates: false },
      unknown: ['unreadable'],
    };
  }
}

function weaknessOf(certificate: X509Certificate): string | undefined {
  let key: KeyObject;
  try {
    key = certificate.publicKey;
  } catch {
    return 'has a key that cannot be read';
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: { modulusLength = 0, namedCurve = '' } = {} } = key;
  switch (type) {
    case 'rsa':
      if (modulusLength >= rsaBits.least && modulusLength <= rsaBits.most) return undefined;
      return `has an RSA key of ${modulusLength} bits; ${rsaBits.least} to ${rsaBits.most} are accepted`;
    case 'ec':
      return strongCurves.has(namedCurve) ? undefined : `has a key of the curve ${namedCurve}, which is not accepted`;
    case 'ed25519':
    case 'ed448':
      return undefined;
    default:
      return `has a key of the kind ${type}, which is not accepted`;
  }
}

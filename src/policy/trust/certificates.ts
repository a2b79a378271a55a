/** Certificates of authors: how they are read, named and shown. */
import { createHash, X509Certificate } from 'node:crypto';

/** A certificate, and what it is known by. */
export interface Known {
  /** SHA-512 of its DER, in hex. */
  readonly id: string;
  readonly certificate: X509Certificate;
}

/** What the operator of a host has imported. */
export type Keystore = readonly Known[];

/** Most in one file or stack. */
export const maxCertificates = 16;

const pemBlock = /-----BEGIN ([A-Z0-9 ]{1,64})-----[^-]*-----END \1-----/g;

export type ReadCertificates =
  | { readonly ok: true; readonly certificates: readonly Known[] }
  | { readonly ok: false; readonly why: string };

/** One certificate as DER, or any number as PEM, in their order. `why` continues a sentence that begins with what was read. */
export function readCertificates(bytes: Uint8Array): ReadCertificates {
  if (bytes[0] === 0x30) return parsed([bytes]);
  const blocks = [...Buffer.from(bytes).toString('latin1').matchAll(pemBlock)];
  if (blocks.some(([, kind]) => kind?.includes('PRIVATE KEY'))) {
    return { ok: false, why: 'holds a private key, which must never leave its owner' };
  }
  const other = blocks.find(([, kind]) => kind !== 'CERTIFICATE')?.[1];
  if (other !== undefined) return { ok: false, why: `holds a ${other}, which is no certificate` };
  if (blocks.length === 0) return { ok: false, why: 'holds no certificate, neither DER nor PEM' };
  return parsed(blocks.map(([text]) => text));
}

function parsed(texts: readonly (string | Uint8Array)[]): ReadCertificates {
  if (texts.length > maxCertificates) {
    return { ok: false, why: `holds ${texts.length} certificates, and ${maxCertificates} are the most` };
  }
  try {
    const certificates = texts.map((text) => known(new X509Certificate(text)));
    return { ok: true, certificates };
  } catch {
    return { ok: false, why: 'holds what is no certificate' };
  }
}

function known(certificate: X509Certificate): Known {
  return { id: createHash('sha512').update(certificate.raw).digest('hex'), certificate };
}

/** Subject in one line and the beginning of the ID, for people. */
export function nameOf({ id, certificate }: Known): string {
  return `${oneLine(certificate.subject)} (${id.slice(0, 16)}…)`;
}

/** A name of X.509 in one line. */
export function oneLine(name: string | undefined): string {
  return (name ?? '').replaceAll('\n', ', ') || 'no name';
}

/**
 * A self-signed certificate around a P-256 key: the form in which a registry wants to be told whose tokens it may believe.
 * It vouches for nothing else, so it says the least that X.509 allows (RFC 5280, DER) and needs no certificate library.
 */
import { createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';

const ecdsaWithSha256 = sequence(oid([1, 2, 840, 10045, 4, 3, 2]));

interface Validity {
  readonly from: Date;
  readonly until: Date;
}

/** The certificate in DER. `commonName` is printable ASCII. */
export function selfSignedCertificate(privateKey: KeyObject, commonName: string, validity: Validity): Buffer {
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const name = sequence(set(sequence(oid([2, 5, 4, 3]), element(0x0c, Buffer.from(commonName)))));
  const version3 = element(0xa0, element(0x02, Buffer.from([2])));
  const toBeSigned = sequence(
    version3,
    element(0x02, positive(randomBytes(16))),
    ecdsaWithSha256,
    name,
    sequence(time(validity.from), time(validity.until)),
    name,
    publicKey,
  );
  const signature = sign('sha256', toBeSigned, privateKey);
  return sequence(toBeSigned, ecdsaWithSha256, element(0x03, Buffer.concat([Buffer.from([0]), signature])));
}

/** PEM of a certificate in DER. */
export function pemOf(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return element(0x30, Buffer.concat(parts));
}

function set(part: Buffer): Buffer {
  return element(0x31, part);
}

function element(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const size = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function oid([first = 0, second = 0, ...rest]: readonly number[]): Buffer {
  return element(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let rest = value >> 7; rest > 0; rest >>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}

/** A serial number must be positive and without leading zeros. */
function positive(bytes: Buffer): Buffer {
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

/** GeneralizedTime from 2050 on, UTCTime before (RFC 5280, 4.1.2.5). */
function time(date: Date): Buffer {
  const digits = `${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`;
  return date.getUTCFullYear() < 2050
    ? element(0x17, Buffer.from(digits.slice(2)))
    : element(0x18, Buffer.from(digits));
}

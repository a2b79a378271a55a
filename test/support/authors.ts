/** Authors of manifests, and who vouches for them: certificates made by openssl, and what they sign. */
import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SignedManifest } from '../../src/contract/payload-manifest.ts';

export interface Author {
  readonly name: string;
  /** PEM of its certificate, and where it is. */
  readonly pem: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly key: KeyObject;
}

export interface AuthorOptions {
  /** Itself if absent. */
  readonly issuer?: Author;
  /** Whose key it has as well; a new one if absent. */
  readonly keyOf?: Author;
  readonly kind?: 'ec' | 'rsa' | 'rsa-1024' | 'ed25519' | 'secp256k1';
  /** Lines of an `extfile`; by default those of an authority where it has no issuer. */
  readonly extensions?: readonly string[];
  readonly days?: number;
  /** Of the signature on its certificate. */
  readonly digest?: string;
}

export const authority = [
  'basicConstraints=critical,CA:TRUE',
  'keyUsage=critical,keyCertSign,cRLSign,digitalSignature',
];
export const signer = ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature'];

export function makeAuthor(folder: string, name: string, options: AuthorOptions = {}): Author {
  const { issuer, kind = 'ec', extensions = issuer ? signer : authority, days = 30, digest = 'sha256' } = options;
  mkdirSync(folder, { recursive: true });
  const file = (end: string) => join(folder, `${name.replaceAll(' ', '-')}.${end}`);
  const [keyFile, config, certFile] = [file('key'), file('cnf'), file('pem')];
  writeFileSync(keyFile, options.keyOf ? readFileSync(options.keyOf.keyFile) : newKey(kind), { mode: 0o600 });
  writeFileSync(config, ['[req]', 'distinguished_name=name', '[name]', '[extensions]', ...extensions].join('\n'));
  const by = issuer ? ['-CA', issuer.certFile, '-CAkey', issuer.keyFile] : [];
  const how = [`-${digest}`, '-days', String(days), '-config', config, '-extensions', 'extensions', '-out', certFile];
  execFileSync('openssl', ['req', '-x509', '-new', '-key', keyFile, '-subj', `/CN=${name}`, ...by, ...how], {
    stdio: 'pipe',
  });
  const key = createPrivateKey(readFileSync(keyFile));
  return { name, pem: readFileSync(certFile, 'utf8'), certFile, keyFile, key };
}

function newKey(kind: NonNullable<AuthorOptions['kind']>): string {
  const encoding = { privateKeyEncoding: { type: 'pkcs8', format: 'pem' } as const };
  const publicKeyEncoding = { type: 'spki', format: 'pem' } as const;
  const how = { ...encoding, publicKeyEncoding };
  switch (kind) {
    case 'ec':
      return generateKeyPairSync('ec', { namedCurve: 'P-256', ...how }).privateKey;
    case 'secp256k1':
      return generateKeyPairSync('ec', { namedCurve: 'secp256k1', ...how }).privateKey;
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 2048, ...how }).privateKey;
    case 'rsa-1024':
      return generateKeyPairSync('rsa', { modulusLength: 1024, ...how }).privateKey;
    case 'ed25519':
      return generateKeyPairSync('ed25519', how).privateKey;
  }
}

/** A stack as it is sent, in the order that is given: the signer comes last. */
export function stackOf(...authors: readonly Author[]): string {
  return base64(authors.map(({ pem }) => pem).join(''));
}

/** What proves that `by` has signed the text. `stack`: who is sent with it, before `by`. */
export function proofOf(
  text: string,
  by: Author,
  { algorithm = 'sha256', stack = [] }: { readonly algorithm?: string; readonly stack?: readonly Author[] } = {},
): NonNullable<SignedManifest['proof']> {
  const digest = by.key.asymmetricKeyType === 'ed25519' ? null : algorithm;
  const signature = sign(digest, Buffer.from(text), by.key).toString('base64');
  return { signature, algorithm, certificate: stackOf(...stack, by) };
}

export function base64(content: string | object): string {
  return Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)).toString('base64');
}

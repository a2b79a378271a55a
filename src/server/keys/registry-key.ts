/**
 * The key that the registry's tokens are signed with. The registry is configured with the certificate as its
 * `rootcertbundle`; each token carries the same certificate in `x5c`, which every version of the registry understands.
 */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { type CryptoKey, importPKCS8, SignJWT } from 'jose';
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { judge } from '../../contract/validate.ts';
import { keyFile } from './key-file.ts';
import { pemOf, selfSignedCertificate } from './self-signed.ts';

const Stored = Type.Object(
  {
    private: Type.String({ description: 'PKCS 8, PEM.' }),
    certificate: Type.String({ description: 'DER, base64.' }),
  },
  { additionalProperties: false, description: 'The registry key as it lies on disk.' },
);

/** Name of this control plane in its tokens; a registry compares it with its configured `issuer`. */
export const tokenIssuer = 'gpuaas';
const validYears = 20;

export interface RegistryKey {
  /** PEM for the registry's `rootcertbundle`. */
  readonly certificate: string;
  /** The claims as JWT. */
  sign(claims: Record<string, unknown>): Promise<string>;
}

/** Opens the key in `folder`, making it where there is none. */
export async function openRegistryKey(folder: string, now: Date): Promise<RegistryKey> {
  const file = keyFile(folder, 'registry-key.json');
  if (file.read() === undefined) file.create(makeKey(now));
  const judged = judge(Stored, file.read());
  if (!judged.ok) {
    throw new AgentError('server.key_unusable', { path: 'registry-key.json', reason: 'It is damaged.' });
  }
  const { private: pem, certificate } = judged.value;
  const key: CryptoKey = await importPKCS8(pem, 'ES256');
  return {
    certificate: pemOf(Buffer.from(certificate, 'base64')),
    sign: (claims) =>
      new SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ: 'JWT', x5c: [certificate] }).sign(key),
  };
}

/** Valid from a day ago, so that a registry whose clock is behind believes it at once. */
function makeKey(now: Date): { private: string; certificate: string } {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const from = new Date(now.getTime() - 86_400_000);
  const until = new Date(Date.UTC(now.getUTCFullYear() + validYears, now.getUTCMonth(), now.getUTCDate()));
  const certificate = selfSignedCertificate(createPrivateKey(privateKey), `${tokenIssuer} registry tokens`, {
    from,
    until,
  });
  return { private: privateKey, certificate: certificate.toString('base64') };
}

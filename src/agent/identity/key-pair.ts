/**
 * A private key as JWK in a file of its own, made on first use. The private half is created on the host, mode 0600, and
 * never leaves it.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { AgentError } from '../../contract/failures.ts';
import { createPrivateFile, readPrivateFile } from './private-file.ts';

export type Curve = 'Ed25519' | 'X25519';

export interface PublicKey<C extends Curve> {
  readonly kty: 'OKP';
  readonly crv: C;
  readonly x: string;
}

export interface KeyPair<C extends Curve> {
  readonly publicJwk: PublicKey<C>;
  readonly privateJwk: PublicKey<C> & { readonly d: string };
  readonly privateKey: KeyObject;
}

/** `identity.unusable` if the file is there and is no such key: another one must not take its place in silence. */
export function ensureKeyPair<C extends Curve>(file: string, curve: C): KeyPair<C> {
  if (readPrivateFile(file) === undefined) {
    createPrivateFile(file, JSON.stringify(generate(curve)));
  }
  const pair = readKeyPair(file, curve);
  if (!pair) {
    throw new Error(`${file} is not there after it was written`);
  }
  return pair;
}

/** Undefined if there is none. */
export function readKeyPair<C extends Curve>(file: string, curve: C): KeyPair<C> | undefined {
  const text = readPrivateFile(file);
  if (text === undefined) {
    return undefined;
  }
  try {
    const privateKey = createPrivateKey({ key: JSON.parse(text), format: 'jwk' });
    const { crv, x, d } = privateKey.export({ format: 'jwk' });
    if (crv !== curve || x === undefined || d === undefined) {
      throw new TypeError(`it is a key for ${crv}`);
    }
    const publicJwk = { kty: 'OKP', crv: curve, x } as const;
    return { publicJwk, privateJwk: { ...publicJwk, d }, privateKey };
  } catch (error) {
    // The cause may quote what was read.
    const reason = error instanceof TypeError ? 'It is not a key of this kind.' : 'It is damaged.';
    throw new AgentError('identity.unusable', { path: file, reason });
  }
}

function generate(curve: Curve): unknown {
  const { privateKey } = curve === 'Ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('x25519');
  return privateKey.export({ format: 'jwk' });
}

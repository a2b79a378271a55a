/** The node's identity key (Ed25519): proves who the node is, by signatures over texts that are good for one purpose. */
import { sign } from 'node:crypto';
import { join } from 'node:path';
import type { IdentityKey as IdentityPublicKey } from '../../contract/enrolment.ts';
import { ensureKeyPair, type KeyPair } from './key-pair.ts';
import { identityFolder } from './private-file.ts';

export interface IdentityKey {
  readonly publicJwk: IdentityPublicKey;
  /** Signature over the UTF-8 bytes, base64url. */
  sign(text: string): string;
}

export function identityKeyFile(stateDir: string): string {
  return join(identityFolder(stateDir), 'identity.jwk');
}

/** Reads the identity key from `<state_dir>/identity`, creating it on first use. */
export function openIdentityKey(stateDir: string): IdentityKey {
  return signingKey(ensureKeyPair(identityKeyFile(stateDir), 'Ed25519'));
}

export function signingKey({ publicJwk, privateKey }: KeyPair<'Ed25519'>): IdentityKey {
  return { publicJwk, sign: (text) => sign(null, Buffer.from(text), privateKey).toString('base64url') };
}

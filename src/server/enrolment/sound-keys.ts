/**
 * Whether the public keys that a host shows can do what they are for. A few of all texts of that length are no keys but
 * points of a small order: everybody can sign for such an Ed25519 key, and nothing can be sealed for such an X25519 key.
 */
import { createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import type { IdentityKey, WrappingPublicKey } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';

/**
 * y of the points of order 1, 2, 4 and 8, their sign left out, and 0 and 1 written as p and p + 1: the list that libsodium
 * refuses as well.
 */
const smallOrder: ReadonlySet<string> = new Set(
  [
    '00',
    '01',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    ...['ec', 'ed', 'ee'].map((low) => `${low}${'ff'.repeat(30)}7f`),
  ].map((hex) => hex.padEnd(64, '0')),
);

interface NodeKeys {
  readonly identity_key: IdentityKey;
  readonly wrapping_key: WrappingPublicKey;
}

/** Throws `node.key_invalid` with the path of each key that is no good. */
export function assertSoundKeys({ identity_key, wrapping_key }: NodeKeys): void {
  const errors = [
    ...(isSoundIdentity(identity_key) ? [] : ['/identity_key/x']),
    ...(isSoundWrapping(wrapping_key) ? [] : ['/wrapping_key/x']),
  ].map((path) => ({ path, code: 'key', message: 'is not the public half of a key' }));
  if (errors.length > 0) throw new AgentError('node.key_invalid', { errors });
}

function isSoundIdentity({ x }: IdentityKey): boolean {
  const bytes = Buffer.from(x, 'base64url');
  if (bytes.toString('base64url') !== x) return false;
  bytes[31] = (bytes[31] ?? 0) & 0x7f;
  return !smallOrder.has(bytes.toString('hex'));
}

/** With a point of a small order the two sides agree on nothing but zeros, which OpenSSL refuses. */
function isSoundWrapping(key: WrappingPublicKey): boolean {
  if (Buffer.from(key.x, 'base64url').toString('base64url') !== key.x) return false;
  const publicKey = createPublicKey({ key, format: 'jwk' });
  try {
    diffieHellman({ privateKey: generateKeyPairSync('x25519').privateKey, publicKey });
    return true;
  } catch {
    return false;
  }
}

/**
 * The node's wrapping key (X25519): what secrets of tasks are sealed for.
 *
 * The private half is created on the host, mode 0600, and never leaves it. Opened values exist in memory only. After a
 * rotation the old key stays as long as something may be sealed for it.
 */
import { existsSync, linkSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import type { CryptoKey } from 'jose';
import type { WrappingPublicKey } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { moveDurable } from '../../kit/durable.ts';
import { ensureKeyPair, type KeyPair, readKeyPair } from './key-pair.ts';
import { identityFolder } from './private-file.ts';

export interface WrappingKey {
  /** Public half as JWK, for whoever seals a value for this node. */
  readonly publicJwk: WrappingPublicKey;
  /** Opens a compact JWE; `secret.unavailable` if it is not for this key or was changed on the way. */
  unseal(jwe: string): Promise<Buffer>;
}

/** True if this node has its wrapping key already; asking makes none. */
export function hasWrappingKey(stateDir: string): boolean {
  return existsSync(wrappingKeyFile(stateDir));
}

export function wrappingKeyFile(stateDir: string): string {
  return join(identityFolder(stateDir), 'wrapping.jwk');
}

/**
 * Puts the key in that file in the place of the present one, which is kept beside it. At no moment is there no wrapping key:
 * another one would be made in its place. `now` (milliseconds since 1970) is what the age of the old one is counted from.
 */
export function replaceWrappingKey(stateDir: string, from: string, now: number): void {
  const current = readKeyPair(wrappingKeyFile(stateDir), 'X25519');
  if (current) {
    const old = oldWrappingKeyFile(stateDir, current.publicJwk);
    try {
      linkSync(wrappingKeyFile(stateDir), old);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    utimesSync(old, now / 1000, now / 1000);
  }
  moveDurable(from, wrappingKeyFile(stateDir));
}

/** Where the key goes when another takes its place. Named by its public half, so that no two share a name. */
function oldWrappingKeyFile(stateDir: string, { x }: WrappingPublicKey): string {
  return join(identityFolder(stateDir), `wrapping.old.${x}.jwk`);
}

/** Reads the node's wrapping key from `<state_dir>/identity`, creating it on first use. */
export async function openWrappingKey(stateDir: string): Promise<WrappingKey> {
  const { publicJwk } = ensureKeyPair(wrappingKeyFile(stateDir), 'X25519');
  return { publicJwk, unseal: (jwe) => unseal(jwe, stateDir) };
}

/** Opens a sealed value with the key that this node has. Read only now: most tasks bring no secret. */
export async function unsealWithKeyOf(stateDir: string, jwe: string): Promise<Buffer> {
  if (!hasWrappingKey(stateDir)) {
    const reason = 'This node has no wrapping key yet; `node-agent config --create-key` makes it.';
    throw new AgentError('secret.unavailable', { reason });
  }
  return await unseal(jwe, stateDir);
}

export interface Forgetting {
  /** Only keys that were replaced before this moment, in milliseconds since 1970. */
  readonly before: number;
  /** Values that must stay readable. */
  readonly sealed: readonly string[];
}

/** Removes old keys that are of no use any more. Returns how many. */
export async function forgetOldWrappingKeys(stateDir: string, { before, sealed }: Forgetting): Promise<number> {
  let forgotten = 0;
  for (const file of oldKeyFiles(stateDir)) {
    const pair = readKeyPair(file, 'X25519');
    const isOld = statSync(file).mtimeMs < before;
    const opened = pair && isOld ? await Promise.all(sealed.map((jwe) => opens(jwe, pair))) : [true];
    if (!opened.includes(true)) {
      rmSync(file, { force: true });
      forgotten += 1;
    }
  }
  return forgotten;
}

/** The keys are read each time: a rotation takes effect at once, and unsealing is rare. */
async function unseal(jwe: string, stateDir: string): Promise<Buffer> {
  let cause: unknown;
  for (const file of [wrappingKeyFile(stateDir), ...oldKeyFiles(stateDir)]) {
    const pair = readKeyPair(file, 'X25519');
    try {
      return pair ? await open(jwe, pair) : await Promise.reject(new Error(`${file} is gone`));
    } catch (error) {
      cause ??= error;
    }
  }
  throw new AgentError('secret.unavailable', { reason: 'It is not sealed for this node.' }, { cause });
}

async function open(jwe: string, { privateJwk }: KeyPair<'X25519'>): Promise<Buffer> {
  const { compactDecrypt, importJWK } = await import('jose');
  const { plaintext } = await compactDecrypt(jwe, (await importJWK(privateJwk, 'ECDH-ES')) as CryptoKey, {
    keyManagementAlgorithms: ['ECDH-ES'],
    contentEncryptionAlgorithms: ['A256GCM'],
  });
  return Buffer.from(plaintext);
}

async function opens(jwe: string, pair: KeyPair<'X25519'>): Promise<boolean> {
  return await open(jwe, pair).then(
    () => true,
    () => false,
  );
}

function oldKeyFiles(stateDir: string): string[] {
  const folder = identityFolder(stateDir);
  return readdirSync(folder)
    .filter((name) => name.startsWith('wrapping.old.') && name.endsWith('.jwk'))
    .map((name) => join(folder, name));
}

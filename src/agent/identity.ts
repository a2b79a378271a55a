/**
 * The node's wrapping key (X25519): what secrets of tasks are sealed for.
 *
 * The private half is created on the host, mode 0600, and never leaves it. Opened values exist in memory only.
 */
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { CryptoKey, JWK } from 'jose';
import { AgentError } from '../contract/failures.ts';

export interface WrappingKey {
  /** Public half as JWK, for whoever seals a value for this node. */
  readonly publicJwk: JWK;
  /** Opens a compact JWE; `secret.unavailable` if it is not for this key or was changed on the way. */
  unseal(jwe: string): Promise<Buffer>;
}

/** True if this node has its wrapping key already; asking makes none. */
export function hasWrappingKey(stateDir: string): boolean {
  return existsSync(wrappingKeyFile(stateDir));
}

function wrappingKeyFile(stateDir: string): string {
  return join(stateDir, 'identity', 'wrapping.jwk');
}

/** Reads the node's wrapping key from `<state_dir>/identity`, creating it on first use. */
export async function openWrappingKey(stateDir: string): Promise<WrappingKey> {
  const jose = await import('jose');
  const file = wrappingKeyFile(stateDir);
  if (!existsSync(file)) {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const { privateKey } = await jose.generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true });
    createOnce(file, JSON.stringify(await jose.exportJWK(privateKey)));
  }

  const { d, ...publicJwk } = JSON.parse(readFileSync(file, 'utf8')) as JWK;
  const privateKey = (await jose.importJWK(
    { ...publicJwk, ...(d === undefined ? {} : { d }) },
    'ECDH-ES',
  )) as CryptoKey;
  return {
    publicJwk,
    unseal: async (jwe) => {
      try {
        const { plaintext } = await jose.compactDecrypt(jwe, privateKey, {
          keyManagementAlgorithms: ['ECDH-ES'],
          contentEncryptionAlgorithms: ['A256GCM'],
        });
        return Buffer.from(plaintext);
      } catch (error) {
        throw new AgentError('secret.unavailable', { reason: 'It is not sealed for this node.' }, { cause: error });
      }
    },
  };
}

/** Writes the file whole or not at all; a second process that comes first wins. */
function createOnce(file: string, text: string): void {
  const temporary = `${file}.${process.pid}`;
  try {
    writeFileSync(temporary, text, { mode: 0o600, flush: true });
    linkSync(temporary, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw error;
    }
  } finally {
    rmSync(temporary, { force: true });
  }
}

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

  const { publicJwk, privateKey } = await readKey(file, jose);
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

/** Opens a sealed value with the key that this node has. Read only now: most tasks bring no secret. */
export async function unsealWithKeyOf(stateDir: string, jwe: string): Promise<Buffer> {
  if (!hasWrappingKey(stateDir)) {
    const reason = 'This node has no wrapping key yet; `node-agent config --create-key` makes it.';
    throw new AgentError('secret.unavailable', { reason });
  }
  return await (await openWrappingKey(stateDir)).unseal(jwe);
}

/** `config.invalid` for a file that holds something else; its words would quote the key, so they are not kept. */
async function readKey(file: string, jose: typeof import('jose')): Promise<{ publicJwk: JWK; privateKey: CryptoKey }> {
  const text = readFileSync(file, 'utf8');
  try {
    const { kty = '', crv = '', x = '', d = '' } = JSON.parse(text) as JWK;
    const publicJwk = { kty, crv, x };
    return { publicJwk, privateKey: (await jose.importJWK({ ...publicJwk, d }, 'ECDH-ES')) as CryptoKey };
  } catch {
    const reason = `${file} does not hold the wrapping key. Restore it; or move it away, make a new one and seal anew.`;
    throw new AgentError('config.invalid', { path: file, reason });
  }
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

/**
 * Seals the secrets that projects keep here, under a key that lies beside the store and never in it: whoever has the store
 * alone has none of them, and whoever loses the key has to bring them again.
 */
import { randomBytes } from 'node:crypto';
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { judge } from '../../contract/validate.ts';
import { keyFile } from './key-file.ts';
import { openText, sealText } from './sealing.ts';

const Stored = Type.Object(
  { key: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$', description: '32 random bytes, base64url.' }) },
  { additionalProperties: false, description: 'The key of stored secrets as it lies on disk.' },
);

export interface Vault {
  /** `owner` is what the secret belongs to; it opens for that alone. */
  seal(secret: string, owner: string): string;
  /** `credential.unreadable` where it was sealed under another key or for another owner. */
  open(sealed: string, owner: string): string;
}

/** Opens the key in `folder`, making it where there is none. */
export function openVault(folder: string): Vault {
  const file = keyFile(folder, 'credential-key.json');
  if (file.read() === undefined) file.create({ key: randomBytes(32).toString('base64url') });
  const judged = judge(Stored, file.read());
  if (!judged.ok) {
    throw new AgentError('server.key_unusable', { path: 'credential-key.json', reason: 'It is damaged.' });
  }
  const key = Buffer.from(judged.value.key, 'base64url');
  return {
    seal: (secret, owner) => sealText(secret, key, owner),
    open: (sealed, owner) => {
      try {
        return openText(sealed, key, owner);
      } catch (cause) {
        throw new AgentError('credential.unreadable', { credential_id: owner }, { cause });
      }
    },
  };
}

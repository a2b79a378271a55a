/** All private keys of the control plane, in `<data_dir>/keys`. Losing them means that every node has to enrol again. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import { Type } from 'typebox';
import { IdentityKey, type TaskKey } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { pinText } from '../../contract/signing.ts';
import { judge } from '../../contract/validate.ts';
import { keyFile } from './key-file.ts';
import { openRegistryKey, type RegistryKey } from './registry-key.ts';
import { TaskKeys } from './task-keys.ts';
import { openVault, type Vault } from './vault.ts';

const StoredRoot = Type.Object(
  { jwk: IdentityKey, private: Type.String({ description: 'Private half, base64url.' }) },
  { additionalProperties: false, description: 'The release root as it lies on disk.' },
);

/** All of them lie in `keys/`, and a store is of no use without. */
export const keyFiles = ['task-keys.json', 'release-root.json', 'credential-key.json', 'registry-key.json'] as const;

export interface ServerKeys {
  readonly task: TaskKeys;
  readonly registry: RegistryKey;
  /** Seals what projects keep. */
  readonly vault: Vault;
  /** Public half of the key that signs release keys; nodes pin it when they enrol. */
  readonly releaseRoot: IdentityKey;
  /** Third part of a join token: the hash of everything that a node is to trust. */
  pin(taskKey: TaskKey, ca: string): string;
}

/** Opens the keys, making those that are missing. `server.key_unusable` where a file is damaged or too open. */
export async function openServerKeys(dataDir: string, now = new Date()): Promise<ServerKeys> {
  const folder = join(dataDir, 'keys');
  const task = await TaskKeys.open(folder);
  const releaseRoot = await openReleaseRoot(folder);
  return {
    task,
    releaseRoot,
    vault: openVault(folder),
    registry: await openRegistryKey(folder, now),
    pin: (taskKey, ca) =>
      createHash('sha256')
        .update(pinText({ task_key: taskKey.jwk, release_root: releaseRoot, ca }))
        .digest('base64url'),
  };
}

async function openReleaseRoot(folder: string): Promise<IdentityKey> {
  const file = keyFile(folder, 'release-root.json');
  if (file.read() === undefined) {
    const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const { d = '', x = '' } = await exportJWK(privateKey);
    file.create({ jwk: { kty: 'OKP', crv: 'Ed25519', x }, private: d });
  }
  const judged = judge(StoredRoot, file.read());
  if (!judged.ok) throw new AgentError('server.key_unusable', { path: 'release-root.json', reason: 'It is damaged.' });
  return judged.value.jwk;
}

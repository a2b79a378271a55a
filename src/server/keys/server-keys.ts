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

const rootFile = 'release-root.json';

const StoredRoot = Type.Object(
  {
    jwk: IdentityKey,
    private: Type.Optional(Type.String({ description: 'Private half, base64url; absent for one that was imported.' })),
  },
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
  /** Everything that a node is to trust, as the text that is pinned. */
  pinned(taskKey: TaskKey, ca: string): string;
  /** Third part of a join token: the hash of that. */
  pin(taskKey: TaskKey, ca: string): string;
}

/** Opens the keys, making those that are missing. `server.key_unusable` where a file is damaged or too open. */
export async function openServerKeys(dataDir: string, now = new Date()): Promise<ServerKeys> {
  const folder = join(dataDir, 'keys');
  const task = await TaskKeys.open(folder);
  const releaseRoot = await openReleaseRoot(folder);
  const pinned = (taskKey: TaskKey, ca: string) => pinText({ task_key: taskKey.jwk, release_root: releaseRoot, ca });
  return {
    task,
    releaseRoot,
    vault: openVault(folder),
    registry: await openRegistryKey(folder, now),
    pinned,
    pin: (taskKey, ca) => createHash('sha256').update(pinned(taskKey, ca)).digest('base64url'),
  };
}

/**
 * Takes the public root of those who make releases, instead of one of its own; its private half is somewhere else then. What
 * nodes have pinned they do not unlearn, so `assertFree` is asked before another one is taken.
 */
export async function importReleaseRoot(
  dataDir: string,
  root: IdentityKey,
  assertFree: () => Promise<void>,
): Promise<void> {
  const file = keyFile(join(dataDir, 'keys'), rootFile);
  const present = file.read();
  if (present === undefined) {
    file.create({ jwk: root });
    return;
  }
  const judged = judge(StoredRoot, present);
  if (judged.ok && judged.value.jwk.x === root.x) return;
  await assertFree();
  file.replace({ jwk: root });
}

async function openReleaseRoot(folder: string): Promise<IdentityKey> {
  const file = keyFile(folder, rootFile);
  if (file.read() === undefined) {
    const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const { d = '', x = '' } = await exportJWK(privateKey);
    file.create({ jwk: { kty: 'OKP', crv: 'Ed25519', x }, private: d });
  }
  const judged = judge(StoredRoot, file.read());
  if (!judged.ok) throw new AgentError('server.key_unusable', { path: rootFile, reason: 'It is damaged.' });
  return judged.value.jwk;
}

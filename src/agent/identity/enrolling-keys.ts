/**
 * The keys that a host shows when it enrols: those that it has, or new ones where it was another node before, or is a copy of
 * one. Keys are never those of two nodes: whoever has got hold of the old ones gets nothing by them.
 *
 *   make fresh keys ──▶ enrol with them ──▶ wrapping key takes its place ──▶ identity key takes its place
 *
 * As long as the fresh identity key lies there, this is not over: the next enrolment goes on with the same keys.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { WrappingPublicKey } from '../../contract/enrolment.ts';
import { moveDurable } from '../../kit/durable.ts';
import { type IdentityKey, identityKeyFile, openIdentityKey, signingKey } from './identity-key.ts';
import { ensureKeyPair, readKeyPair } from './key-pair.ts';
import { identityFolder } from './private-file.ts';
import { nextKeyFiles } from './rotate-keys.ts';
import { openWrappingKey, replaceWrappingKey } from './wrapping-key.ts';

export interface EnrollingKeys {
  readonly identity: IdentityKey;
  readonly wrapping: WrappingPublicKey;
  /** To be called once they are those of the node. `now` in milliseconds since 1970. */
  keep(now: number): void;
}

/** `fresh`: not with the keys of now, whatever they are. */
export async function enrollingKeys(stateDir: string, { fresh }: { fresh: boolean }): Promise<EnrollingKeys> {
  const freshIdentity = join(identityFolder(stateDir), 'identity.fresh.jwk');
  const freshWrapping = join(identityFolder(stateDir), 'wrapping.fresh.jwk');
  const begun = readKeyPair(freshIdentity, 'Ed25519');
  if (!begun && !fresh) {
    const wrapping = (await openWrappingKey(stateDir)).publicJwk;
    return { identity: openIdentityKey(stateDir), wrapping, keep: () => undefined };
  }
  // In this order: where the fresh identity key lies alone, the wrapping key has taken its place already.
  const wrapping =
    begun && !readKeyPair(freshWrapping, 'X25519')
      ? (await openWrappingKey(stateDir)).publicJwk
      : ensureKeyPair(freshWrapping, 'X25519').publicJwk;
  const identity = signingKey(ensureKeyPair(freshIdentity, 'Ed25519'));
  return {
    ...{ identity, wrapping },
    keep: (now) => {
      // A rotation that the node of before had begun; a copy of the host has the same.
      for (const file of nextKeyFiles(stateDir)) rmSync(file, { force: true });
      if (readKeyPair(freshWrapping, 'X25519')) replaceWrappingKey(stateDir, freshWrapping, now);
      moveDurable(freshIdentity, identityKeyFile(stateDir));
    },
  };
}

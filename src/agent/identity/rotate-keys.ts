/**
 * Replaces the keys of the node: the new ones are vouched for by the present identity key, and the present ones stay good
 * until the first hello with the new.
 *
 *   make next keys ──▶ ask the control plane ──▶ wrapping key takes its place ──▶ identity key takes its place
 *
 * Killed anywhere, it goes on where it was: as long as the next identity key lies there, the rotation is not over. The old
 * wrapping key is kept beside the new one, because workloads still hold what was sealed for it.
 */
import { join } from 'node:path';
import { RotateAnswer, type RotateRequest } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { rotateKeysPath, rotateText } from '../../contract/signing.ts';
import { moveDurable } from '../../kit/durable.ts';
import { post } from '../control-plane/client.ts';
import type { ControlPlaneOrigin } from '../control-plane/origin.ts';
import { identityKeyFile, openIdentityKey, signingKey } from './identity-key.ts';
import { ensureKeyPair, readKeyPair } from './key-pair.ts';
import { type NodeRecord, readNode, writeNode } from './node-record.ts';
import { identityFolder } from './private-file.ts';
import { replaceWrappingKey } from './wrapping-key.ts';

export interface RotateOptions {
  readonly stateDir: string;
  readonly origin: ControlPlaneOrigin;
  /** Server time in milliseconds since 1970. */
  readonly now: number;
}

const maxAgeMs = 30 * 24 * 60 * 60 * 1000;

/** True if the keys are 30 days old, or a rotation was begun and not ended. */
export function rotationIsDue({ stateDir, now }: Omit<RotateOptions, 'origin'>): boolean {
  const node = readNode(stateDir);
  const isOld = node !== undefined && now - Date.parse(node.keys_since) >= maxAgeMs;
  return isOld || nextIdentity(stateDir) !== undefined;
}

/** The control plane has the new keys, and the next hello uses them. Fails as `post` does, and then can be tried again. */
export async function rotateKeys({ stateDir, origin, now }: RotateOptions): Promise<void> {
  const begun = nextIdentity(stateDir);
  if (!begun || readKeyPair(nextFile(stateDir, 'wrapping'), 'X25519')) {
    await ask(stateDir, origin, nodeIn(stateDir));
    replaceWrappingKey(stateDir, nextFile(stateDir, 'wrapping'), now);
  }
  moveDurable(nextFile(stateDir, 'identity'), identityKeyFile(stateDir));
  // Read anew: a task key may have been handed on while the control plane was asked.
  writeNode(stateDir, { ...nodeIn(stateDir), keys_since: new Date(now).toISOString() });
}

function nodeIn(stateDir: string): NodeRecord {
  const node = readNode(stateDir);
  if (!node) {
    throw new AgentError('identity.unusable', { reason: 'This host is not enrolled.' });
  }
  return node;
}

async function ask(stateDir: string, origin: ControlPlaneOrigin, { node_id }: NodeRecord): Promise<void> {
  // In this order: where the next identity key lies, the wrapping key was there before it.
  const wrapping = ensureKeyPair(nextFile(stateDir, 'wrapping'), 'X25519');
  const next = signingKey(ensureKeyPair(nextFile(stateDir, 'identity'), 'Ed25519'));
  const keys = { identity_key: next.publicJwk, wrapping_key: wrapping.publicJwk };
  const text = rotateText({ node_id, audience: origin.audience, ...keys });
  const body: RotateRequest = {
    ...{ node_id, audience: origin.audience, ...keys },
    old_signature: openIdentityKey(stateDir).sign(text),
    new_signature: next.sign(text),
  };
  await post(origin, rotateKeysPath, { body, answer: RotateAnswer });
}

/** Where the keys lie that a rotation has made and not put in place yet. */
export function nextKeyFiles(stateDir: string): readonly string[] {
  return [nextFile(stateDir, 'wrapping'), nextFile(stateDir, 'identity')];
}

function nextIdentity(stateDir: string) {
  return readKeyPair(nextFile(stateDir, 'identity'), 'Ed25519');
}

function nextFile(stateDir: string, which: 'identity' | 'wrapping'): string {
  return join(identityFolder(stateDir), `${which}.next.jwk`);
}

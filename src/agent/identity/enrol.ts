/**
 * Turns a host into a node: shows the join token, proves that the host has its keys, and learns whom to trust.
 *
 * Nothing is trusted on first use: the token's pin is the hash of all that the host will trust, and the operator handed it
 * over. Asking again with the same token and keys gives the same node, so a host that lost the answer asks again.
 */
import { createHash } from 'node:crypto';
import { EnrolAnswer, type EnrolRequest } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { enrolPath, enrolText, pinText } from '../../contract/signing.ts';
import { post } from '../control-plane/client.ts';
import type { ControlPlaneOrigin } from '../control-plane/origin.ts';
import { epochFile } from './epoch-file.ts';
import { openIdentityKey } from './identity-key.ts';
import { parseJoinToken } from './join-token.ts';
import { type NodeRecord, readNode, writeNode } from './node-record.ts';
import { openWrappingKey } from './wrapping-key.ts';

export interface EnrolOptions {
  readonly stateDir: string;
  readonly origin: ControlPlaneOrigin;
  /** `id.secret.pin`. */
  readonly token: string;
  readonly host: EnrolRequest['host'];
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * Enrols, and keeps who the host is now beside its keys. `enrolment.token_invalid` for what is no join token;
 * `enrolment.untrusted` if the answer is not what the token was made for, and then nothing is kept.
 */
export async function enrol({ stateDir, origin, token, host, now = Date.now }: EnrolOptions): Promise<NodeRecord> {
  const { id, secret, pin } = parseJoinToken(token);
  const identity = openIdentityKey(stateDir);
  const wrapping = await openWrappingKey(stateDir);
  const keys = { identity_key: identity.publicJwk, wrapping_key: wrapping.publicJwk };
  const { audience } = origin;

  const request: EnrolRequest = {
    ...{ token_id: id, token_secret: secret, audience, host, ...keys },
    signature: identity.sign(enrolText({ token_id: id, audience, ...keys })),
  };
  const answer = await post(origin, enrolPath, { body: request, answer: EnrolAnswer });
  if (pin !== pinOf(answer)) {
    throw new AgentError('enrolment.untrusted', { url: audience });
  }

  const node = nodeOf(answer, audience, new Date(now()).toISOString());
  if (readNode(stateDir)?.node_id !== node.node_id) {
    // An epoch belongs to one node. Forgotten first: a node that is new has none.
    epochFile(stateDir).write(0);
  }
  writeNode(stateDir, node);
  return node;
}

function pinOf({ task_key, release_root, ca }: EnrolAnswer): string {
  return createHash('sha256')
    .update(pinText({ task_key: task_key.jwk, release_root, ca }))
    .digest('base64url');
}

function nodeOf(answer: EnrolAnswer, audience: string, now: string): NodeRecord {
  const { node_id, allocation_id, task_key, release_root, ca } = answer;
  return {
    ...{ node_id, allocation_id, release_root, ca, control_plane: audience },
    task_keys: [{ ...task_key, retire_after: null }],
    keys_since: now,
  };
}

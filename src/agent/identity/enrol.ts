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
import { DrainState } from '../drain-state.ts';
import { forgetEarlierTenant } from './earlier-tenant.ts';
import { type EnrollingKeys, enrollingKeys } from './enrolling-keys.ts';
import { epochFile } from './epoch-file.ts';
import { parseJoinToken } from './join-token.ts';
import { type NodeRecord, readNode, writeNode } from './node-record.ts';

export interface EnrolOptions {
  readonly stateDir: string;
  readonly origin: ControlPlaneOrigin;
  /** `id.secret.pin`. */
  readonly token: string;
  readonly host: EnrolRequest['host'];
  /** With keys that this host has never shown: it is a copy of another one. */
  readonly newKeys?: boolean;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * Enrols, and keeps who the host is now beside its keys. Where they are those of another node, new ones are made.
 * `enrolment.token_invalid` for what is no join token; `enrolment.untrusted` if the answer is not what the token was made
 * for, and then nothing is kept.
 */
export async function enrol(options: EnrolOptions): Promise<NodeRecord> {
  const { stateDir, origin, newKeys = false, now = Date.now } = options;
  const { audience } = origin;
  const { keys, answer } = await askUnlessUsed(options, await enrollingKeys(stateDir, { fresh: newKeys }));

  const node = nodeOf(answer, audience, new Date(now()).toISOString());
  forgetEarlierTenant(stateDir, node.allocation_id);
  if (readNode(stateDir)?.node_id !== node.node_id) {
    // An epoch belongs to one node, and so does a drain from afar. Forgotten first: a node that is new has none.
    epochFile(stateDir).write(0);
    new DrainState(stateDir).end('control_plane');
  }
  keys.keep(now());
  writeNode(stateDir, node);
  return node;
}

interface Enrolled {
  readonly keys: EnrollingKeys;
  readonly answer: EnrolAnswer;
}

async function askUnlessUsed(options: EnrolOptions, keys: EnrollingKeys): Promise<Enrolled> {
  try {
    return { keys, answer: await ask(options, keys) };
  } catch (error) {
    if (!(error instanceof AgentError && error.detail['refused_as'] === 'enrolment.keys_used')) throw error;
    const fresh = await enrollingKeys(options.stateDir, { fresh: true });
    return { keys: fresh, answer: await ask(options, fresh) };
  }
}

async function ask({ origin, token, host }: EnrolOptions, { identity, wrapping }: EnrollingKeys): Promise<EnrolAnswer> {
  const { id, secret, pin } = parseJoinToken(token);
  const keys = { identity_key: identity.publicJwk, wrapping_key: wrapping };
  const { audience } = origin;
  const request: EnrolRequest = {
    ...{ token_id: id, token_secret: secret, audience, host, ...keys },
    signature: identity.sign(enrolText({ token_id: id, audience, ...keys })),
  };
  const answer = await post(origin, enrolPath, { body: request, answer: EnrolAnswer });
  if (pin !== pinOf(answer)) {
    throw new AgentError('enrolment.untrusted', { url: audience });
  }
  return answer;
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

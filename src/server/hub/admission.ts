/**
 * Whether a node is let in, decided in one transaction.
 *
 * Each session has an epoch of its own. The node keeps it on disk before it confirms it, so a node that comes back shows
 * the last epoch it confirmed, or the last that was offered if the confirmation was lost:
 *
 *   confirmed 7 ── hello 7 ──▶ offered 8 ── confirm 8 ──▶ confirmed 8
 *                                  └── hello 8 (confirmation was lost) ──▶ confirmed 8, offered 9
 *                                  └── hello 7 (welcome was lost) ──▶ offered 9
 *
 * Any other epoch comes from a copy of the node's identity. Nobody can tell which of the two is the right one, so neither
 * is let in until an operator has decided (FAULTS 32).
 */
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import type { IdentityKey } from '../../contract/enrolment.ts';
import { AgentError, type FailureCode } from '../../contract/failures.ts';
import { protocolVersion } from '../../contract/protocol.ts';
import type { Challenge, Hello, Welcome } from '../../contract/session-messages.ts';
import { type closeCodes, helloText } from '../../contract/signing.ts';
import type { Node } from '../db/entities/node.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import type { TaskKeys } from '../keys/task-keys.ts';
import { lapseAll } from './leases.ts';

export type Admission =
  | { readonly kind: 'welcome'; readonly node: Node; readonly welcome: Omit<Welcome, 'heartbeat_seconds'> }
  | { readonly kind: 'refused'; readonly close: keyof typeof closeCodes; readonly failure: AgentError }
  /** The session that the node has already must end as well. */
  | { readonly kind: 'quarantined'; readonly node: Node };

export interface AdmissionFacts {
  readonly challenge: Challenge;
  readonly hello: Hello;
  readonly keys: TaskKeys;
  /** RFC 3339. */
  readonly now: string;
  /** RFC 3339; what the node judges tasks by. */
  readonly serverTime: string;
}

export async function admit(tx: Tx, { challenge, hello, keys, now, serverTime }: AdmissionFacts): Promise<Admission> {
  const known = await tx.nodes.get(hello.node_id);
  const node = known && proven(known, challenge, hello);
  if (!node) return unproven();
  if (node.status === 'revoked') return refused('revoked', 'node.revoked');
  if (node.status === 'quarantined') return refused('quarantined', 'node.quarantined');
  if (hello.protocol !== protocolVersion) {
    return refused('protocolError', 'node.untrusted', `It speaks protocol ${hello.protocol}, not ${protocolVersion}.`);
  }
  if (![node.epoch_confirmed ?? hello.epoch, node.epoch_offered].includes(hello.epoch)) {
    return { kind: 'quarantined', node: await quarantine(tx, node, now) };
  }
  const rotations = keys.rotationsAfter(node.task_kid);
  if (!rotations) return refused('unauthenticated', 'node.untrusted', 'It has missed too many task keys.');

  const epoch = Math.max(hello.epoch, node.epoch_offered ?? 0) + 1;
  const bearer = `${node.id}.${epoch}.${randomBytes(32).toString('base64url')}`;
  const welcomed: Node = {
    ...node,
    ...(known && known.identity_key.x !== node.identity_key.x ? { former_keys: formerKeys(known, now) } : {}),
    // An epoch that the node shows is on its disk, whether its confirmation arrived or not.
    epoch_confirmed: hello.epoch,
    epoch_offered: epoch,
    bearer_hash: hashOf(bearer),
    last_seen_at: now,
    agent_version: hello.agent_version,
    boot_id: hello.boot_id,
    task_types: hello.task_types,
  };
  await tx.nodes.put(welcomed);
  await lapseAll(tx, node.id);
  const cursor = await tx.record_cursors.get(node.id);
  return {
    kind: 'welcome',
    node: welcomed,
    welcome: {
      type: 'welcome',
      ...{ epoch, bearer, rotations: [...rotations], task_keys: [keys.current], server_time: serverTime },
      acked: cursor ? { journal_id: cursor.journal_id, seq: cursor.seq } : null,
    },
  };
}

/** With the key that was left behind just now. Rotations are a month apart: whom a hundred years of them do not suffice loses the eldest. */
function formerKeys(
  { former_keys: before = [], identity_key: key }: Node,
  now: string,
): NonNullable<Node['former_keys']> {
  return [...before, { key, until: now }].slice(-maxFormerKeys);
}

const maxFormerKeys = 510;

/** The node has the epoch on disk, and believes the task key of its welcome. Undefined if a later session has taken over. */
export async function confirm(tx: Tx, nodeId: string, epoch: number, taskKid: string): Promise<Node | undefined> {
  const node = await tx.nodes.get(nodeId);
  if (node?.epoch_offered !== epoch || node.status !== 'enrolled') return undefined;
  const confirmed: Node = { ...node, epoch_confirmed: epoch, epoch_offered: null, task_kid: taskKid };
  await tx.nodes.put(confirmed);
  return confirmed;
}

/** True if the session of this epoch is the one that the node has now. */
export function isCurrent(node: Node | undefined, epoch: number): boolean {
  return node?.status === 'enrolled' && node.epoch_confirmed === epoch && node.epoch_offered === null;
}

/** The node whose present epoch a bearer belongs to; undefined for every other text. */
export async function nodeOfBearer(nodes: Pick<Tx['nodes'], 'get'>, bearer: string): Promise<Node | undefined> {
  const node = await nodes.get(bearer.split('.')[0] ?? '');
  return node?.status === 'enrolled' && node.bearer_hash === hashOf(bearer) ? node : undefined;
}

/** The node that asks by HTTP, by the bearer of its session; `node.untrusted` for everybody else. */
export async function nodeAsking(tx: ReadTx, authorization: string | undefined): Promise<Node> {
  const [, bearer = ''] = /^Bearer ([\w.-]{1,256})$/.exec(authorization ?? '') ?? [];
  const node = await nodeOfBearer(tx.nodes, bearer);
  if (!node) throw new AgentError('node.untrusted');
  return node;
}

/** The node, if the hello is signed by its key: by the next one after a rotation, which then is its only one. */
export function proven(node: Node, challenge: Challenge, hello: Hello): Node | undefined {
  const text = helloText({ ...hello, nonce: challenge.nonce, audience: challenge.audience });
  if (signedBy(node.identity_key, text, hello.signature)) return node;
  if (!node.next_keys || !signedBy(node.next_keys.identity_key, text, hello.signature)) return undefined;
  return { ...node, ...node.next_keys, next_keys: null };
}

export function signedBy(key: IdentityKey, text: string, signature: string): boolean {
  const publicKey = createPublicKey({ key, format: 'jwk' });
  return verify(null, Buffer.from(text), publicKey, Buffer.from(signature, 'base64url'));
}

async function quarantine(tx: Tx, node: Node, now: string): Promise<Node> {
  const status_reason = 'Two hosts use its identity.';
  const quarantined: Node = { ...node, status: 'quarantined', status_reason, bearer_hash: null };
  await tx.nodes.put(quarantined);
  await tx.events.append({
    time: now,
    type: 'node.quarantined',
    project_id: null,
    subject: { kind: 'node', id: node.id },
    actor: `node:${node.id}`,
    correlation_id: null,
    message: 'Two hosts use the identity of this node. Neither is let in until an operator releases or revokes it.',
    data: { name: node.name, allocation_id: node.allocation_id },
  });
  return quarantined;
}

/** The answer to a node that nobody knows, or that is not who it says. */
export function unproven(): Admission {
  return refused('unauthenticated', 'node.untrusted');
}

function refused(close: keyof typeof closeCodes, code: FailureCode, reason?: string): Admission {
  return { kind: 'refused', close, failure: new AgentError(code, reason === undefined ? {} : { reason }) };
}

/** A random token of 256 bits needs no slow hash. */
function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

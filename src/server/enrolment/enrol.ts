/**
 * A host becomes a node. Idempotent on token and keys: a host that did not get the answer asks again and gets the same
 * one. Somebody else with a used token is refused like everybody with a wrong one, and the operator is told.
 */
import type { EnrolAnswer, EnrolRequest } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { enrolText } from '../../contract/signing.ts';
import type { Allocation } from '../db/entities/allocation.ts';
import type { JoinToken, Node } from '../db/entities/node.ts';
import { newId } from '../db/new-id.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import { signedBy } from '../hub/admission.ts';
import type { ServerKeys } from '../keys/server-keys.ts';
import { hasSecret } from './join-token.ts';
import { assertSoundKeys } from './sound-keys.ts';

export interface EnrolFacts {
  readonly keys: ServerKeys;
  /** Origin that we are; a host that dialled another one is refused. */
  readonly audience: string;
  readonly ca: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly correlationId: string;
}

/** The failure is returned, not thrown: what the operator is told about it must be kept. */
export type Enrolled = { readonly answer: EnrolAnswer } | { readonly failure: AgentError };

export async function enrol(tx: Tx, request: EnrolRequest, facts: EnrolFacts): Promise<Enrolled> {
  const token = await tx.join_tokens.get(request.token_id);
  if (!token || !hasSecret(token, request.token_secret)) return refused();
  if (request.audience !== facts.audience) return refused(`This control plane is ${facts.audience}.`);
  assertSoundKeys(request);
  if (!signedBy(request.identity_key, enrolText(request), request.signature)) {
    return refused('The host has not signed with the identity key that it shows.');
  }
  const node = token.node_id === null ? undefined : await tx.nodes.get(token.node_id);
  if (node) return await again(tx, token, node, request, facts);
  if (Date.parse(token.expires_at) <= facts.now) return refused('The token has expired.');

  const allocation = await tx.allocations.get(token.allocation_id);
  if (allocation?.state !== 'active') return refused('Its allocation has ended.');
  if (await nodeInPlace(tx, allocation)) return refused('Its allocation has a node already; revoke that first.');
  const before = await nodeWithKeys(tx, request);
  if (before) return { failure: await whatKeeps(tx, before, allocation) };

  const fresh = newNode(token, request, facts.now);
  await tx.nodes.insert(fresh);
  await tx.allocations.put({ ...allocation, node_id: fresh.id });
  await tx.join_tokens.put({ ...token, used_at: fresh.enrolled_at, node_id: fresh.id });
  await note(tx, fresh, facts, 'node.enrolled', `Host ${fresh.name} became a node.`);
  return { answer: answerFor(fresh, token, facts) };
}

/** The node that an allocation has, unless that was revoked: another host takes the place of a revoked one only. */
export async function nodeInPlace(tx: ReadTx, { node_id: id }: Allocation): Promise<Node | undefined> {
  const node = id === null ? undefined : await tx.nodes.get(id);
  return node?.status === 'revoked' ? undefined : node;
}

/** The node, whatever became of it, that shows or is to show one of these keys. */
async function nodeWithKeys(tx: ReadTx, { identity_key, wrapping_key }: EnrolRequest): Promise<Node | undefined> {
  const shown = [identity_key.x, wrapping_key.x];
  const keysOf = ({ identity_key: identity, wrapping_key: wrapping, next_keys: next }: Node) =>
    [identity, wrapping, next?.identity_key, next?.wrapping_key].map((key) => key?.x ?? '');
  return (await tx.nodes.list({})).findLast((node) => keysOf(node).some((x) => shown.includes(x)));
}

/** Why a host that was a node cannot be another one: what it holds of another allocation must be gone, and its keys are used. */
async function whatKeeps(tx: ReadTx, before: Node, { id }: Allocation): Promise<AgentError> {
  const its = before.allocation_id === id ? undefined : await tx.allocations.get(before.allocation_id);
  if (!its) return new AgentError('enrolment.keys_used');
  const asCopy = 'A host that is a copy of that one enrols with --new-keys.';
  if (its.state !== 'ended') {
    const reason = `This host serves allocation ${its.id}, which has not ended: what is there is not taken away yet. ${asCopy}`;
    return new AgentError('enrolment.refused', { reason });
  }
  if (before.status === 'revoked' && its.data_policy === 'wipe' && its.wipe?.state !== 'done') {
    const reason = `What allocation ${its.id} left on this host was not wiped, because its node was revoked first: remove it by hand, then enrol with --new-keys.`;
    return new AgentError('enrolment.refused', { reason });
  }
  return new AgentError('enrolment.keys_used');
}

async function again(
  tx: Tx,
  token: JoinToken,
  node: Node,
  request: EnrolRequest,
  facts: EnrolFacts,
): Promise<Enrolled> {
  const same = node.identity_key.x === request.identity_key.x && node.wrapping_key.x === request.wrapping_key.x;
  if (same && node.status === 'enrolled') return { answer: answerFor(node, token, facts) };
  if (!same) {
    const message = `A second host, which calls itself ${request.host.hostname}, tried the join token of this node.`;
    await note(tx, node, facts, 'node.join_token_reused', message);
  }
  return refused();
}

function newNode(token: JoinToken, { identity_key, wrapping_key, host }: EnrolRequest, now: number): Node {
  return {
    ...{ id: newId(now), name: host.hostname, allocation_id: token.allocation_id },
    ...{ status: 'enrolled', status_reason: null, identity_key, wrapping_key, next_keys: null },
    ...{ epoch_confirmed: 0, epoch_offered: null, task_kid: token.task_kid, bearer_hash: null, drain: false },
    ...{ enrolled_at: new Date(now).toISOString(), last_seen_at: null, agent_version: host.agent_version },
    ...{ boot_id: null, task_types: [], inventory: null, runtime: null, runtime_at: null, topology: null },
  };
}

/** The task key that the pin of this token vouches for; the welcome of a session leads on to the present one. */
function answerFor(node: Node, token: JoinToken, { keys, ca }: EnrolFacts): EnrolAnswer {
  const task_key = keys.task.named(token.task_kid) ?? keys.task.current;
  return { node_id: node.id, allocation_id: node.allocation_id, task_key, release_root: keys.releaseRoot, ca };
}

function refused(reason?: string): Enrolled {
  return { failure: new AgentError('enrolment.refused', reason === undefined ? {} : { reason }) };
}

async function note(tx: Tx, node: Node, facts: EnrolFacts, type: string, message: string): Promise<void> {
  await tx.events.append({
    ...{ time: new Date(facts.now).toISOString(), type, project_id: null, message },
    subject: { kind: 'node', id: node.id },
    actor: `node:${node.id}`,
    correlation_id: facts.correlationId,
    data: { name: node.name, allocation_id: node.allocation_id },
  });
}

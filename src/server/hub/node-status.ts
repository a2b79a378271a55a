/** What operators decide about a node. */
import { AgentError } from '../../contract/failures.ts';
import type { Node } from '../db/entities/node.ts';
import type { Tx } from '../db/store.ts';
import { handOutAgain } from './leases.ts';
import type { TaskQueue } from './task-queue.ts';

/** The node must not come back, and none of its tasks will be done. False if there is no such node. */
export async function revokeNode(tx: Tx, queue: TaskQueue, nodeId: string, actor: string): Promise<boolean> {
  const node = await tx.nodes.get(nodeId);
  if (!node) return false;
  if (node.status === 'revoked') return true;
  await tx.nodes.put({ ...node, status: 'revoked', status_reason: `Revoked by ${actor}.`, bearer_hash: null });
  await note(tx, node, { time: queue.now(), actor, type: 'node.revoked', message: 'The node was revoked.' });
  await queue.abandon(tx, nodeId, new AgentError('node.revoked').toFailure());
  return true;
}

/**
 * Whichever host comes first after this is believed, with any epoch: the operator has seen to it that there is only one.
 * What the node had accepted is handed out again: it may be another host by now, or this store may be a backup from before
 * the results. A host that knows a task answers with what became of it. False if the node is in no quarantine.
 */
export async function releaseNode(tx: Tx, queue: TaskQueue, nodeId: string, actor: string): Promise<boolean> {
  const node = await tx.nodes.get(nodeId);
  if (node?.status !== 'quarantined') return false;
  await tx.nodes.put({ ...node, status: 'enrolled', status_reason: null, epoch_confirmed: null });
  const message = 'The node was released from quarantine.';
  await note(tx, node, { time: queue.now(), actor, type: 'node.released', message });
  await handOutAgain(tx, queue, nodeId);
  return true;
}

interface Decision {
  readonly time: string;
  readonly actor: string;
  readonly type: string;
  readonly message: string;
}

async function note(tx: Tx, node: Node, decision: Decision): Promise<void> {
  await tx.events.append({
    ...decision,
    project_id: null,
    subject: { kind: 'node', id: node.id },
    correlation_id: null,
    data: { name: node.name, allocation_id: node.allocation_id },
  });
}

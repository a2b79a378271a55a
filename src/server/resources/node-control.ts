/** What operators do to nodes, as the hub and the queue of tasks do it. */
import type { Hub } from '../hub/hub.ts';
import { releaseNode, revokeNode } from '../hub/node-status.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import type { NodeControl } from './nodes.ts';

export function nodeControl(hub: Hub, queue: TaskQueue): NodeControl {
  return {
    isConnected: (nodeId) => hub.isConnected(nodeId),
    revoke: async (tx, nodeId, actor) => {
      await revokeNode(tx, queue, nodeId, actor);
      tx.afterCommit(() => hub.shutOut(nodeId));
    },
    release: (tx, nodeId, actor) => releaseNode(tx, queue, nodeId, actor),
    drain: async (tx, { correlationId }, { id, allocation_id, drain }) => {
      await queue.enqueue(tx, {
        ...{ node_id: id, allocation_id, type: 'agent.drain', purpose: 'drain', trace_id: correlationId },
        params: { drain, reason: drain ? 'An operator drains this node.' : 'An operator ended the drain.' },
      });
    },
    diagnose: async (tx, { correlationId }, { id, allocation_id }, wish) => {
      const { id: taskId } = await queue.enqueue(tx, {
        ...{ node_id: id, allocation_id, type: 'agent.collect_diagnostics', purpose: 'diagnose' },
        ...{ trace_id: correlationId, params: wish, deadline_seconds: thereSeconds, valid_seconds: thereSeconds },
      });
      return taskId;
    },
    rotateKeys: async (tx, { correlationId }, { id, allocation_id }) => {
      const { id: taskId } = await queue.enqueue(tx, {
        ...{ node_id: id, allocation_id, type: 'agent.rotate_keys', purpose: 'rotate_keys', params: {} },
        ...{ trace_id: correlationId, deadline_seconds: thereSeconds, valid_seconds: thereSeconds },
      });
      return taskId;
    },
  };
}

/** For a node that is there; one that is not is not waited for. */
const thereSeconds = 180;

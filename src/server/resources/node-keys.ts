/** The keys of a node: shown for whoever verifies its receipts, and replaced on request. It does so by itself every 30 days. */
import { Type } from 'typebox';
import { NodeKeys } from '../../contract/job-receipt.ts';
import { closed } from '../db/entities/fields.ts';
import type { Node } from '../db/entities/node.ts';
import { appendEvent } from '../db/events.ts';
import type { ReadTx } from '../db/store.ts';
import { everybody, found, platform } from '../http/access.ts';
import { pathOf } from '../http/lists.ts';
import { type Route, route, type Who } from '../http/route.ts';
import { connectedNode, nodeAnswer, nodeAnswerOf, nodeTask, ofNodeTask } from './node-tasks.ts';
import type { NodeControl } from './nodes.ts';

const Rotation = Type.Object(nodeAnswer, { ...closed, description: 'A rotation of the keys of a node.' });

const path = '/api/v1/nodes/{node_id}/rotate-keys';

export function nodeKeyRoutes(
  control: Pick<NodeControl, 'rotateKeys' | 'isConnected'>,
  visibleNode: (tx: ReadTx, who: Who, id: string) => Promise<Node>,
): Route[] {
  return [
    route({
      ...{ method: 'GET', path: '/api/v1/nodes/{node_id}/keys', tag: 'nodes', allow: everybody, answer: NodeKeys },
      params: pathOf('node_id', 'The node.'),
      summary: 'Shows the public keys that a node has signed receipts with.',
      read: async ({ who, params: { node_id } }, tx) => keysOf(await visibleNode(tx, who, node_id)),
    }),
    route({
      ...{ method: 'POST', path, tag: 'nodes', allow: platform, status: 202, answer: Rotation },
      params: pathOf('node_id', 'The node.'),
      summary: 'Has a node replace its keys. While it is at that, this asks for nothing new.',
      change: async (asked, tx) => {
        const { node_id: nodeId } = asked.params;
        const instead = '`node-agent rotate-keys` on the host needs that as well.';
        const node = await connectedNode(tx, nodeId, control.isConnected, instead);
        const open = await tx.tasks.list({ where: { node_id: nodeId, state: ['queued', 'leased', 'accepted'] } });
        const before = open.find(({ purpose }) => purpose === 'rotate_keys');
        if (before) return { body: nodeAnswerOf(before) };
        const taskId = await control.rotateKeys(tx, asked, node);
        await appendEvent(tx, asked, {
          ...{ type: 'node.rotating_keys', project_id: null, subject: { kind: 'node', id: nodeId } },
          message: 'An operator has it replace its keys.',
        });
        return { body: nodeAnswerOf(found('task', taskId, await tx.tasks.get(taskId))) };
      },
    }),
    route({
      ...{ method: 'GET', path: `${path}/{task_id}`, tag: 'nodes', allow: platform, answer: Rotation },
      ...{ params: ofNodeTask, summary: 'Shows a rotation that was asked for.' },
      read: async ({ params }, tx) => nodeAnswerOf(await nodeTask(tx, params, 'rotate_keys')),
    }),
  ];
}

/** The next key of a rotation that is under way signs already. */
function keysOf({ id, former_keys: former = [], identity_key: present, next_keys: next }: Node): NodeKeys {
  const now = [present, ...(next ? [next.identity_key] : [])].map((key) => ({ key, until: null }));
  return { node_id: id, keys: [...former, ...now] };
}

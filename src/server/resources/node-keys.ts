/** `/api/v1/nodes/{node_id}/rotate-keys`: has a node replace its keys now. It does so by itself every 30 days. */
import { Type } from 'typebox';
import { closed } from '../db/entities/fields.ts';
import { appendEvent } from '../db/events.ts';
import { found, platform } from '../http/access.ts';
import { pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import { connectedNode, nodeAnswer, nodeAnswerOf, nodeTask, ofNodeTask } from './node-tasks.ts';
import type { NodeControl } from './nodes.ts';

const Rotation = Type.Object(nodeAnswer, { ...closed, description: 'A rotation of the keys of a node.' });

const path = '/api/v1/nodes/{node_id}/rotate-keys';

export function nodeKeyRoutes(control: Pick<NodeControl, 'rotateKeys' | 'isConnected'>): Route[] {
  return [
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

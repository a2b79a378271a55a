/** What operators decide about the agent of a node: which rollouts reach it, and an update of it alone. */
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { ReleaseVersion, releaseChannelPattern } from '../../contract/release.ts';
import { closed } from '../db/entities/fields.ts';
import type { Node } from '../db/entities/node.ts';
import { appendEvent } from '../db/events.ts';
import { found, platform } from '../http/access.ts';
import { pathOf } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';
import { NodeView, nodeView } from '../resources/nodes.ts';
import { usualChannel } from './current-release.ts';
import { beginUpdate } from './node-updates.ts';
import { publishedRelease, type ReleaseParts } from './release-routes.ts';

const NodeSettings = Type.Object(
  {
    channel: Type.Optional(
      Type.String({ pattern: releaseChannelPattern, description: 'Which rollouts reach it from now on.' }),
    ),
    canary: Type.Optional(Type.Boolean({ description: 'True: rollouts of its channel begin with it.' })),
  },
  { ...closed, minProperties: 1, description: 'What is to be other than it is.' },
);

const Update = Type.Object(
  {
    version: ReleaseVersion,
    urgent: Type.Optional(Type.Boolean({ description: 'True: also outside of the window of the host.' })),
  },
  { ...closed, description: 'What the node is to run.' },
);

const path = '/api/v1/nodes/{node_id}';
const one = { params: pathOf('node_id', 'The node.'), answer: NodeView, tag: 'nodes', allow: platform } as const;

export function nodeUpdateRoutes({ queue, files, isConnected }: ReleaseParts): Route[] {
  return [
    route({
      ...{ method: 'PATCH', path, ...one, body: NodeSettings },
      summary: 'Says which rollouts reach a node, and whether they begin with it.',
      change: async (asked, tx) => {
        const { node_id: id } = asked.params;
        const before = found('node', id, await tx.nodes.get(id));
        const node: Node = { ...before, ...asked.body };
        const { channel = usualChannel, canary = false } = node;
        if ((before.channel ?? usualChannel) !== channel || (before.canary ?? false) !== canary) {
          await tx.nodes.put(node);
          await appendEvent(tx, asked, {
            ...{ type: 'node.changed', project_id: null, subject: { kind: 'node', id }, data: { channel, canary } },
            message: `It gets what the channel ${channel} gets${canary ? ', before the others' : ''}.`,
          });
        }
        return { body: (await nodeView(tx, isConnected))(node) };
      },
    }),
    route({
      ...{ method: 'POST', path: `${path}/update`, ...one, body: Update, status: 202 },
      summary: 'Asks a node to run a release; `update` of the node says what becomes of it.',
      change: async (asked, tx) => {
        const { node_id: id } = asked.params;
        const { version, urgent = false } = asked.body;
        const node = found('node', id, await tx.nodes.get(id));
        const release = await publishedRelease(tx, version);
        const missing = files.missing(version, release.artifacts);
        if (missing.length > 0) {
          const reason = `These files of ${version} are not here yet: ${missing.join(', ')}.`;
          throw new AgentError('resource.conflict', { reason });
        }
        if (node.status !== 'enrolled') {
          throw new AgentError('resource.conflict', { reason: `The node is ${node.status}.` });
        }
        const update = await beginUpdate(tx, queue, asked, node, { version, urgent, rollout_id: null });
        return { body: (await nodeView(tx, isConnected))({ ...node, update }) };
      },
    }),
  ];
}

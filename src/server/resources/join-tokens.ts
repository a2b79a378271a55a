/** `/api/v1/nodes/join-tokens`: lets one host become the node of one allocation, once, within an hour. */
import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import type { ServerContext } from '../context.ts';
import { JoinToken } from '../db/entities/node.ts';
import { appendEvent } from '../db/events.ts';
import { nodeInPlace } from '../enrolment/enrol.ts';
import { makeJoinToken } from '../enrolment/join-token.ts';
import { found, platform } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions } from '../http/lists.ts';
import { type Route, route } from '../http/route.ts';

const { secret_hash: _secret, ...shown } = JoinToken.properties;
const closed = { additionalProperties: false } as const;

const JoinTokenView = Type.Object(shown, { ...closed, description: 'A join token, without its secret.' });

const MadeJoinToken = Type.Object(
  {
    ...shown,
    token: Type.Union([Type.String(), Type.Null()], {
      description:
        'What `node-agent enroll` reads from a file or stdin. In this answer only, also where it is repeated under its key.',
    }),
  },
  { ...closed, description: 'A join token that was made.' },
);

const NewJoinToken = Type.Object(
  {
    allocation_id: JoinToken.properties.allocation_id,
    expires_in_seconds: Type.Optional(
      Type.Integer({
        minimum: 60,
        maximum: 3600,
        description: 'When it stops working; an hour at most, and by default.',
      }),
    ),
  },
  { ...closed, description: 'A join token to make.' },
);

const ListQuery = listQuery({
  allocation_id: Type.Optional(Type.String({ pattern: identifierPattern, description: 'Only for this allocation.' })),
});

export function joinTokenRoutes({ keys, settings }: ServerContext): Route[] {
  return [
    route({
      ...{ method: 'POST', path: '/api/v1/nodes/join-tokens', tag: 'nodes', summary: 'Makes a join token.' },
      ...{ allow: platform, body: NewJoinToken, answer: MadeJoinToken, status: 201 },
      change: async (asked, tx) => {
        const { allocation_id, expires_in_seconds: valid_seconds } = asked.body;
        const allocation = found('allocation', allocation_id, await tx.allocations.get(allocation_id));
        if (allocation.state !== 'active') {
          throw new AgentError('resource.conflict', { reason: `The allocation is ${allocation.state}.` });
        }
        const node = await nodeInPlace(tx, allocation);
        if (node) {
          const way = `If that host is lost, revoke it first: gpuaas nodes revoke ${node.id}.`;
          throw new AgentError('resource.conflict', { reason: `The allocation has the node ${node.name}. ${way}` });
        }
        const { token, entity } = await makeJoinToken(tx, keys, {
          ...{ allocation_id, created_by: asked.who.tokenId, now: asked.now, ca: settings.ca },
          ...(valid_seconds === undefined ? {} : { valid_seconds }),
        });
        await appendEvent(tx, asked, {
          ...{ type: 'node.invited', project_id: null, subject: { kind: 'allocation', id: allocation_id } },
          message: 'A host was invited: a join token was made.',
          data: { join_token: entity.id, expires_at: entity.expires_at },
        });
        return { body: { ...viewOf(entity), token: null }, once: { token } };
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/nodes/join-tokens', tag: 'nodes', summary: 'Lists join tokens of late.' },
      ...{ allow: platform, answer: listOf(JoinTokenView) },
      query: ListQuery,
      read: async ({ query }, tx) => {
        const where = query.allocation_id === undefined ? {} : { allocation_id: query.allocation_id };
        return page(await tx.join_tokens.list({ where, ...pageOptions(query) }), query, viewOf);
      },
    }),
  ];
}

function viewOf({ secret_hash: _hash, ...token }: JoinToken): Static<typeof JoinTokenView> {
  return token;
}

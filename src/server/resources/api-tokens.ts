/**
 * `/api/v1/tokens`: bearer tokens and their roles. The secret is in the answer that makes a token and nowhere else.
 * Nobody hands out more than they have: members make tokens of their own project only.
 */
import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { ApiToken } from '../db/entities/project.ts';
import { appendEvent } from '../db/events.ts';
import { found, maySee, members, projectFilter, visible } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route, type Who } from '../http/route.ts';
import { makeToken } from '../http/tokens.ts';

const { secret_hash: _secret, ...shown } = ApiToken.properties;
const TokenView = Type.Object(shown, { additionalProperties: false, description: 'A token, without its secret.' });

const MadeToken = Type.Object(
  {
    ...shown,
    token: Type.Union([Type.String(), Type.Null()], {
      description:
        'What to send as bearer. In this answer only, also where it is repeated under the same Idempotency-Key.',
    }),
  },
  { additionalProperties: false, description: 'A token that was made.' },
);

const NewToken = Type.Object(
  {
    name: ApiToken.properties.name,
    role: ApiToken.properties.role,
    project_id: Type.Optional({
      ...Type.String(),
      ...ApiToken.properties.id,
      description: 'Its project; for member and viewer.',
    }),
    expires_in_seconds: Type.Optional(
      Type.Integer({ minimum: 60, maximum: 31_536_000, description: 'When it ends; absent for never.' }),
    ),
  },
  { additionalProperties: false, description: 'A token to make.' },
);

export function tokenRoutes(): Route[] {
  return [
    route({
      ...{ method: 'POST', path: '/api/v1/tokens', tag: 'tokens', summary: 'Makes a token.' },
      allow: members,
      body: NewToken,
      answer: MadeToken,
      status: 201,
      change: async (asked, tx) => {
        const projectId = projectOf(asked.who, asked.body);
        if (projectId !== null) {
          found('project', projectId, await tx.projects.get(projectId));
        }
        const { id, secret_hash, token } = makeToken();
        const { name, role, expires_in_seconds: seconds } = asked.body;
        const entity: ApiToken = {
          ...{ id, name, project_id: projectId, role, secret_hash, created_by: asked.who.tokenId, revoked_at: null },
          created_at: new Date(asked.now).toISOString(),
          expires_at: seconds === undefined ? null : new Date(asked.now + seconds * 1000).toISOString(),
        };
        await tx.api_tokens.insert(entity);
        await appendEvent(tx, asked, {
          ...{ type: 'token.created', project_id: projectId, subject: { kind: 'api_token', id } },
          message: `Token ${JSON.stringify(name)} with the role ${role} was made.`,
        });
        return { body: { ...viewOf(entity), token: null }, once: { token } };
      },
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/tokens', tag: 'tokens', summary: 'Lists tokens, without their secrets.' },
      allow: members,
      query: listQuery({ project_id: Type.Optional(Type.String({ description: 'Only of this project.' })) }),
      answer: listOf(TokenView),
      read: async ({ who, query }, tx) => {
        const where = projectFilter(who, query.project_id);
        return page(await tx.api_tokens.list({ where, ...pageOptions(query) }), query, viewOf);
      },
    }),
    route({
      ...{
        method: 'DELETE',
        path: '/api/v1/tokens/{token_id}',
        tag: 'tokens',
        summary: 'Takes a token back for good.',
      },
      allow: members,
      params: pathOf('token_id', 'The token.'),
      answer: TokenView,
      change: async (asked, tx) => {
        const { token_id } = asked.params;
        const token = visible(asked.who, 'token', token_id, await tx.api_tokens.get(token_id));
        refuseAbove(asked.who, token.role);
        if (token.revoked_at !== null) {
          return { body: viewOf(token) };
        }
        const revoked = { ...token, revoked_at: new Date(asked.now).toISOString() };
        await tx.api_tokens.put(revoked);
        await appendEvent(tx, asked, {
          ...{ type: 'token.revoked', project_id: token.project_id, subject: { kind: 'api_token', id: token.id } },
          message: `Token ${JSON.stringify(token.name)} was revoked.`,
        });
        return { body: viewOf(revoked) };
      },
    }),
  ];
}

const rank = { admin: 3, operator: 2, member: 1, viewer: 0 } as const;

function refuseAbove(who: Who, role: ApiToken['role']): void {
  if (rank[role] > rank[who.role]) {
    throw new AgentError('request.forbidden', { reason: `The role ${role} is above ${who.role}.` });
  }
}

/** Null for the platform's roles, which see everything; the project of the others. */
function projectOf(who: Who, { role, project_id }: Static<typeof NewToken>): string | null {
  refuseAbove(who, role);
  const isPlatform = role === 'admin' || role === 'operator';
  const projectId = project_id ?? who.projectId;
  if (isPlatform === (projectId !== null)) {
    const message = isPlatform ? `must be absent: ${role} sees every project` : `is missing: ${role} sees one project`;
    throw new AgentError('request.invalid', { errors: [{ path: '/project_id', code: 'project', message }] });
  }
  return projectId === null || maySee(who, projectId) ? projectId : found<string>('project', projectId, undefined);
}

function viewOf({ secret_hash: _secret, ...token }: ApiToken): Static<typeof TokenView> {
  return token;
}

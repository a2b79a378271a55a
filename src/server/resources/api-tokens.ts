/**
 * `/api/v1/tokens`: bearer tokens and their roles. The secret is in the answer that makes a token and nowhere else.
 * Nobody hands out more than they have: members make tokens of their own project only, and no token outlives the one that
 * made it. Whoever takes one back does not know what it was used for, so all that it has made goes with it. How many there may
 * be is bounded, so that a token that leaked fills no store.
 */
import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { given } from '../db/entities/fields.ts';
import { ApiToken } from '../db/entities/project.ts';
import { appendEvent } from '../db/events.ts';
import type { ReadTx } from '../db/store.ts';
import { found, maySee, members, projectFilter, visible } from '../http/access.ts';
import { listOf, listQuery, page, pageOptions, pathOf } from '../http/lists.ts';
import { type Route, route, type Who } from '../http/route.ts';
import { makeToken } from '../http/tokens.ts';
import { withMade } from './end-tokens.ts';

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

const RevokedToken = Type.Object(
  {
    ...shown,
    also_revoked: Type.Integer({
      minimum: 0,
      description: 'How many tokens that it has made, or that they have made, were revoked with it.',
    }),
  },
  { additionalProperties: false, description: 'A token that was revoked.' },
);

const NewToken = Type.Object(
  {
    name: given(ApiToken.properties.name),
    role: ApiToken.properties.role,
    project_id: Type.Optional({
      ...Type.String(),
      ...ApiToken.properties.id,
      description: 'Its project; for member and viewer.',
    }),
    expires_in_seconds: Type.Optional(
      Type.Integer({
        ...{ minimum: 60, maximum: 31_536_000 },
        description:
          'When it ends, not after the token that makes it; absent for when that one does, which may be never.',
      }),
    ),
  },
  { additionalProperties: false, description: 'A token to make.' },
);

/** Tokens that one token has made and that were not taken back. */
const mostOfMaker = 1000;
/** Tokens of a project that are kept, also those that stopped working within the last week. */
const mostOfProject = 5000;

const ListQuery = listQuery({ project_id: Type.Optional(Type.String({ description: 'Only of this project.' })) });

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
        await refuseTooMany(tx, asked.who);
        const { id, secret_hash, token } = makeToken();
        const { name, role } = asked.body;
        const entity: ApiToken = {
          ...{ id, name, project_id: projectId, role, secret_hash, created_by: asked.who.tokenId, revoked_at: null },
          created_at: new Date(asked.now).toISOString(),
          expires_at: endOf(await makerOf(tx, asked.who), asked.now, asked.body),
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
      query: ListQuery,
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
        summary: 'Takes a token back for good, and all tokens that it has made, unless they are to stay.',
      },
      allow: members,
      params: pathOf('token_id', 'The token.'),
      query: Type.Object(
        {
          keep_made: Type.Optional(
            Type.Boolean({
              description: 'True: what it has made stays. For a token that is replaced, not for one that leaked.',
            }),
          ),
        },
        { additionalProperties: false, description: 'What goes with it.' },
      ),
      answer: RevokedToken,
      change: async (asked, tx) => {
        const { token_id } = asked.params;
        const token = visible(asked.who, 'token', token_id, await tx.api_tokens.get(token_id));
        refuseAbove(asked.who, token.role);
        const revoked_at = new Date(asked.now).toISOString();
        const { keep_made: alone = false } = asked.query;
        const working = (alone ? [token] : await withMade(tx, [token])).filter((each) => each.revoked_at === null);
        for (const each of working) {
          await tx.api_tokens.put({ ...each, revoked_at });
          await appendEvent(tx, asked, {
            ...{ type: 'token.revoked', project_id: each.project_id, subject: { kind: 'api_token', id: each.id } },
            message: `Token ${JSON.stringify(each.name)} was revoked${each === token ? '' : ` with ${token.id}`}.`,
          });
        }
        const also_revoked = working.filter(({ id }) => id !== token.id).length;
        return { body: { ...viewOf(token), revoked_at: token.revoked_at ?? revoked_at, also_revoked } };
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

/** The platform's people are not bound by what a project has made. */
async function refuseTooMany(tx: ReadTx, { tokenId, projectId }: Who): Promise<void> {
  if ((await tx.api_tokens.count({ created_by: tokenId, revoked_at: null })) >= mostOfMaker) {
    throw new AgentError('resource.too_many', { reason: `This token has made ${mostOfMaker} tokens.` });
  }
  if (projectId !== null && (await tx.api_tokens.count({ project_id: projectId })) >= mostOfProject) {
    const reason = `The project has ${mostOfProject} tokens, with those that stopped working within a week.`;
    throw new AgentError('resource.too_many', { reason });
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

/** The token of the caller, which may have been taken back since it was looked at. */
async function makerOf(tx: ReadTx, { tokenId }: Who): Promise<ApiToken> {
  const maker = await tx.api_tokens.get(tokenId);
  if (!maker || maker.revoked_at !== null) {
    throw new AgentError('request.unauthenticated');
  }
  return maker;
}

function endOf(maker: ApiToken, now: number, { expires_in_seconds: seconds }: Static<typeof NewToken>): string | null {
  if (seconds === undefined) {
    return maker.expires_at;
  }
  const end = new Date(now + seconds * 1000).toISOString();
  if (maker.expires_at !== null && end > maker.expires_at) {
    const message = `ends after the token that makes it, at ${maker.expires_at}: ask for less, or leave it out`;
    throw new AgentError('request.invalid', { errors: [{ path: '/expires_in_seconds', code: 'expiry', message }] });
  }
  return end;
}

function viewOf({ secret_hash: _secret, ...token }: ApiToken): Static<typeof TokenView> {
  return token;
}

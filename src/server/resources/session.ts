/**
 * `/api/v1/session`: a browser signs in with a token, sees who it is, and signs out. `http/callers.ts` says why a session has two
 * halves. A session ends with its token, when it is signed out, and after twelve hours in which nobody used it.
 */
import { randomBytes } from 'node:crypto';
import { type Static, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import type { ServerContext } from '../context.ts';
import { closed } from '../db/entities/fields.ts';
import { ApiToken, Project } from '../db/entities/project.ts';
import type { Session } from '../db/entities/session.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import { everybody, found } from '../http/access.ts';
import { sessionCookieOf } from '../http/callers.ts';
import { openRoute, type Route, route, type Who } from '../http/route.ts';
import { hashSecret, whoIs } from '../http/tokens.ts';

/** Of one token: with one more, the one that was not used for longest ends. */
const mostOfToken = 100;

const { id, name, display_name } = Project.properties;

const shown = {
  token_id: ApiToken.properties.id,
  token_name: ApiToken.properties.name,
  role: ApiToken.properties.role,
  project: Type.Union([Type.Object({ id, name, display_name }, closed), Type.Null()], {
    description: 'The only project that it sees; null for the platform roles.',
  }),
  expires_at: ApiToken.properties.expires_at,
  environment: Type.Object(
    {
      name: Type.String({ description: 'What this control plane is called: `production`, or another name.' }),
      launch_enabled: Type.Boolean({ description: 'True if launches become tasks of nodes here.' }),
    },
    { ...closed, description: 'Where that is.' },
  ),
};

const SessionView = Type.Object(shown, { ...closed, description: 'Who asks, and where.' });
type SessionView = Static<typeof SessionView>;

const OpenedSession = Type.Object(
  {
    ...shown,
    csrf_token: Type.String({
      description: 'The half that the page keeps: it goes as `x-gpuaas-csrf` with every request, reads as well.',
    }),
  },
  { ...closed, description: 'A session that was opened. Its other half is the cookie of this answer.' },
);

const SignIn = Type.Object(
  { token: Type.String({ minLength: 1, maxLength: 256, description: 'A bearer token: `gpuaas_…`.' }) },
  { ...closed, description: 'Who signs in.' },
);

const SignedOut = Type.Object(
  { signed_out: Type.Literal(true, { description: 'Always.' }) },
  { ...closed, description: 'The session is over.' },
);

const path = '/api/v1/session';
const tag = 'session';

export function sessionRoutes(context: Pick<ServerContext, 'settings' | 'limits' | 'keys'>): Route[] {
  const { settings, limits } = context;
  const cookieName = sessionCookieOf(context.keys);
  const viewOf = async (tx: ReadTx, who: Who): Promise<SessionView> => {
    const token = found('token', who.tokenId, await tx.api_tokens.get(who.tokenId));
    return {
      ...{ token_id: token.id, token_name: token.name, role: token.role, expires_at: token.expires_at },
      project: await projectOf(tx, who),
      environment: { name: settings.environment, launch_enabled: settings.launchEnabled },
    };
  };
  const cookie = (value: string, more: readonly string[] = []) => ({
    'set-cookie': [
      ...[`${cookieName}=${value}`, 'Path=/api', 'HttpOnly', 'SameSite=Strict'],
      ...(settings.publicUrl.startsWith('https:') ? ['Secure'] : []),
      ...more,
    ].join('; '),
  });

  return [
    openRoute({
      ...{ method: 'POST', path, tag, summary: 'Opens a session of a browser.' },
      body: SignIn,
      answer: OpenedSession,
      status: 201,
      change: async ({ body, now }, tx) => {
        const who = await whoIs(`Bearer ${body.token}`, tx, now);
        limits.count('signIn', who.tokenId);
        const { session, cookieHalf, pageHalf } = makeSession(who, now);
        await makeRoom(tx, who);
        await tx.sessions.insert(session);
        return {
          who,
          body: { ...(await viewOf(tx, who)), csrf_token: pageHalf },
          headers: cookie(`${session.id}_${cookieHalf}`),
        };
      },
    }),
    route({
      ...{ method: 'GET', path, tag, summary: 'Says who asks, by session or by token.' },
      allow: everybody,
      answer: SessionView,
      read: async ({ who }, tx) => viewOf(tx, who),
    }),
    route({
      ...{ method: 'DELETE', path, tag, summary: 'Ends the session that it is asked through, and its open streams.' },
      allow: everybody,
      answer: SignedOut,
      change: async ({ who }, tx) => {
        if (who.sessionId === null) {
          throw new AgentError('resource.not_found', { reason: 'A token that is sent by itself has no session.' });
        }
        await tx.sessions.delete(who.sessionId);
        return { body: { signed_out: true as const }, headers: cookie('', ['Max-Age=0']) };
      },
    }),
  ];
}

async function projectOf(tx: ReadTx, { projectId }: Who): Promise<SessionView['project']> {
  if (projectId === null) return null;
  const { id, name, display_name } = found('project', projectId, await tx.projects.get(projectId));
  return { id, name, display_name };
}

function makeSession({ tokenId }: Who, now: number) {
  const cookieHalf = randomBytes(32).toString('base64url');
  const pageHalf = randomBytes(32).toString('base64url');
  const at = new Date(now).toISOString();
  const session: Session = {
    ...{ id: randomBytes(8).toString('hex'), token_id: tokenId, created_at: at, used_at: at },
    ...{ cookie_hash: hashSecret(cookieHalf), page_hash: hashSecret(pageHalf) },
  };
  return { session, cookieHalf, pageHalf };
}

async function makeRoom(tx: Tx, { tokenId }: Who): Promise<void> {
  const open = await tx.sessions.list({ where: { token_id: tokenId } });
  const oldest = open.toSorted((one, other) => one.used_at.localeCompare(other.used_at));
  for (const { id } of oldest.slice(0, Math.max(0, open.length - mostOfToken + 1))) await tx.sessions.delete(id);
}

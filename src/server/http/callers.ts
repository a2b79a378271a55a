/**
 * Who asks: a program by its bearer token, or a browser by the two halves of its session.
 *
 * Cookies know no ports. A workload that somebody opens through a tunnel at `http://127.0.0.1:8888` is sent the cookie of the
 * console at `http://127.0.0.1:8080`, and can set one there. So the cookie alone opens nothing: each request, reads and streams
 * as well, brings the other half in a header. The page keeps that one in its storage, which belongs to its origin, ports included;
 * and no page of another origin can send the header.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { AgentError } from '../../contract/failures.ts';
import type { Session } from '../db/entities/session.ts';
import type { ReadTx, Store } from '../db/store.ts';
import type { ServerKeys } from '../keys/server-keys.ts';
import type { Who } from './route.ts';
import { isAlive, isSecret, whoIs, whoOf } from './tokens.ts';

/** Of each control plane another: two on one host name, at two ports, would else take each other's away. */
const cookieName = /^gpuaas_session_[0-9a-f]{8}$/;
const pageHalf = 'x-gpuaas-csrf';

/** A session that nobody uses for so long is over. */
export const idleMs = 12 * 60 * 60 * 1000;
/** How far `used_at` may lag behind: not every request shall write. */
const lagMs = 5 * 60 * 1000;
/**
 * Cookies of such names that are tried: those of other ports of this host come along, one for each path that leads to the request,
 * and those of longer paths first. So it is more than anybody can lay in front of ours.
 */
const mostCookies = 64;

const cookiePattern = /^([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;
const pagePattern = /^[A-Za-z0-9_-]{43}$/;

export interface Caller {
  readonly who: Who;
  /** Its token or its session: what two callers never share. */
  readonly name: string;
  /** What it proved itself with. The store does not have it. */
  readonly credential: string;
  /** Undefined for a token of its own. */
  readonly session: Session | undefined;
}

/** `request.unauthenticated` says the same whatever is wrong. A bearer token is the only thing that is looked at where there is one. */
export async function callerOf(headers: IncomingHttpHeaders, tx: ReadTx, now: number): Promise<Caller> {
  const { authorization } = headers;
  if (authorization !== undefined) {
    const who = await whoIs(authorization, tx, now);
    return { who, name: who.tokenId, credential: authorization, session: undefined };
  }
  const page = headers[pageHalf];
  if (typeof page === 'string' && pagePattern.test(page)) {
    for (const cookie of cookiesOf(headers)) {
      const session = await sessionOf(cookie, page, tx, now);
      const token = session && (await tx.api_tokens.get(session.token_id));
      if (session && token && isAlive(token, now)) {
        const who = whoOf(token, session.id);
        return { who, name: `session ${session.id}`, credential: `${cookie}\n${page}`, session };
      }
    }
  }
  throw new AgentError('request.unauthenticated');
}

/** A key of its own tells a control plane from all others, also through tunnels; a release root may serve several. */
export function sessionCookieOf({ registry }: Pick<ServerKeys, 'registry'>): string {
  return `gpuaas_session_${createHash('sha256').update(registry.certificate).digest('hex').slice(0, 8)}`;
}

/** Notes that a session is in use; seldom, so that reading stays reading. */
export async function noteUse(store: Store, { id, used_at }: Session, now: number): Promise<void> {
  if (now - Date.parse(used_at) < lagMs) return;
  await store.write(async (tx) => {
    const session = await tx.sessions.get(id);
    if (session) await tx.sessions.put({ ...session, used_at: new Date(now).toISOString() });
  });
}

function cookiesOf({ cookie = '' }: IncomingHttpHeaders): string[] {
  const values = cookie.split(';').flatMap((part) => {
    const [name, ...value] = part.trim().split('=');
    return cookieName.test(name ?? '') ? [value.join('=')] : [];
  });
  return values.filter((value) => cookiePattern.test(value)).slice(0, mostCookies);
}

async function sessionOf(cookie: string, page: string, tx: ReadTx, now: number): Promise<Session | undefined> {
  const [, id = '', secret = ''] = cookiePattern.exec(cookie) ?? [];
  const session = await tx.sessions.get(id);
  const isOne = session && isSecret(secret, session.cookie_hash) && isSecret(page, session.page_hash);
  return isOne && now - Date.parse(session.used_at) < idleMs ? session : undefined;
}

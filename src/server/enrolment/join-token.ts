/**
 * Join tokens: `id.secret.pin`. Each lets one host become the node of one allocation, within an hour. The control plane
 * keeps the hash of the secret; the pin is for the host, which trusts nothing that its operator did not hand it.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { AgentError } from '../../contract/failures.ts';
import type { JoinToken } from '../db/entities/node.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import type { ServerKeys } from '../keys/server-keys.ts';

const longest = 3600;

export interface JoinTokenWanted {
  readonly allocation_id: string;
  /** API token of whoever makes it. */
  readonly created_by: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Seconds until it stops working; an hour at most, and by default. */
  readonly valid_seconds?: number;
  /** PEM of the CA of our certificate; empty where the system's CAs are used. */
  readonly ca: string;
}

/** Makes a token; `token` is the whole text, to be shown once. The caller has checked the allocation. */
export async function makeJoinToken(
  tx: Tx,
  keys: ServerKeys,
  { allocation_id, created_by, now, valid_seconds = longest, ca }: JoinTokenWanted,
): Promise<{ readonly token: string; readonly entity: JoinToken }> {
  const secret = randomBytes(32).toString('base64url');
  const { current } = keys.task;
  const entity: JoinToken = {
    ...{ id: randomBytes(8).toString('hex'), secret_hash: hashOf(secret), allocation_id, task_kid: current.kid },
    ...{ created_at: new Date(now).toISOString(), created_by, used_at: null, node_id: null },
    expires_at: new Date(now + Math.min(valid_seconds, longest) * 1000).toISOString(),
  };
  await tx.join_tokens.insert(entity);
  return { token: `${entity.id}.${secret}.${keys.pin(current, ca)}`, entity };
}

/** True if the secret is the one that was handed out; takes as long for a wrong one. */
export function hasSecret(token: JoinToken, secret: string): boolean {
  return timingSafeEqual(Buffer.from(hashOf(secret)), Buffer.from(token.secret_hash));
}

/**
 * The join token behind `Bearer id.secret`, while it is good: for what a host needs before it enrols. A used one is good as
 * well until it expires, because a bootstrap that was interrupted begins again. `enrolment.refused` says nothing else.
 */
export async function invited(tx: ReadTx, authorization: string | undefined, now: number): Promise<JoinToken> {
  const [, id = '', secret = ''] = /^Bearer ([a-z0-9]{16})\.([A-Za-z0-9_-]{43})$/.exec(authorization ?? '') ?? [];
  const token = await tx.join_tokens.get(id);
  if (!token || !hasSecret(token, secret) || Date.parse(token.expires_at) <= now) {
    throw new AgentError('enrolment.refused');
  }
  return token;
}

/** 256 random bits need no slow hash: there is nothing to guess. */
function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

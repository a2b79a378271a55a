/**
 * Bearer tokens: `gpuaas_<id>_<secret>`. The id is looked up, the secret compared by its hash and in constant time. A
 * secret of 256 random bits needs no slow hash: there is nothing to guess.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { AgentError } from '../../contract/failures.ts';
import type { ApiToken } from '../db/entities/project.ts';
import type { ReadTx } from '../db/store.ts';
import type { Who } from './route.ts';

const pattern = /^Bearer gpuaas_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;

export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

export interface NewToken {
  readonly id: string;
  readonly secret_hash: string;
  /** What the caller sends; shown once, kept nowhere. */
  readonly token: string;
}

export function makeToken(): NewToken {
  const id = randomBytes(8).toString('hex');
  const secret = randomBytes(32).toString('base64url');
  return { id, secret_hash: hashSecret(secret), token: `gpuaas_${id}_${secret}` };
}

/** Whom a header belongs to; `request.unauthenticated` says the same whatever is wrong with it. */
export async function whoIs(header: string | undefined, tx: ReadTx, now: number): Promise<Who> {
  const [, id, secret] = pattern.exec(header ?? '') ?? [];
  const token = id === undefined ? undefined : await tx.api_tokens.get(id);
  if (!token || secret === undefined || !isSecret(secret, token.secret_hash) || !isAlive(token, now)) {
    throw new AgentError('request.unauthenticated');
  }
  return whoOf(token);
}

export function whoOf(token: ApiToken, sessionId: string | null = null): Who {
  return { tokenId: token.id, role: token.role, projectId: token.project_id, actor: `token:${token.id}`, sessionId };
}

/** In constant time. */
export function isSecret(secret: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashSecret(secret)), Buffer.from(hash));
}

/** Neither taken back nor expired. */
export function isAlive({ expires_at, revoked_at }: ApiToken, now: number): boolean {
  return revoked_at === null && (expires_at === null || Date.parse(expires_at) > now);
}

/**
 * `Idempotency-Key`: the answer to a change is kept in the same transaction as the change. A client that did not hear the
 * answer asks again and gets it; the change is made once, whatever died in between.
 */
import { createHash } from 'node:crypto';
import { AgentError } from '../../contract/failures.ts';
import type { IdempotentAnswer } from '../db/entities/idempotent-answer.ts';
import type { ReadTx, Tx } from '../db/store.ts';

/** How long an answer can be asked for again. */
export const keptMs = 24 * 60 * 60 * 1000;

export interface Key {
  readonly id: string;
  readonly bodyHash: string;
}

interface Facts {
  readonly header: string | undefined;
  readonly caller: string;
  readonly method: string;
  readonly url: string;
  readonly body: Buffer;
}

/** Undefined where the client gave no key. Two callers never share one. */
export function keyOf({ header, caller, method, url, body }: Facts): Key | undefined {
  if (header === undefined) {
    return undefined;
  }
  if (!/^[\x21-\x7e]{1,255}$/.test(header)) {
    throw new AgentError('request.invalid', {
      errors: [{ path: '', code: 'idempotency_key', message: 'Idempotency-Key must be 1 to 255 visible characters' }],
    });
  }
  return { id: sha256([caller, method, url, header].join('\n')), bodyHash: sha256(body) };
}

/** The answer that was given before; `idempotency.conflict` if it was to something else. */
export async function answeredBefore(tx: ReadTx, key: Key, now: number): Promise<IdempotentAnswer | undefined> {
  const before = await tx.idempotent_answers.get(key.id);
  if (!before || Date.parse(before.expires_at) <= now) {
    return undefined;
  }
  if (before.body_hash !== key.bodyHash) {
    throw new AgentError('idempotency.conflict');
  }
  return before;
}

export async function keepAnswer(
  tx: Tx,
  key: Key,
  answer: { status: number; body: unknown },
  now: number,
): Promise<void> {
  await tx.idempotent_answers.delete(key.id);
  await tx.idempotent_answers.insert({
    ...{ id: key.id, body_hash: key.bodyHash, status: answer.status, body: answer.body },
    created_at: new Date(now).toISOString(),
    expires_at: new Date(now + keptMs).toISOString(),
  });
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('base64url');
}

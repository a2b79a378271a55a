/**
 * `Idempotency-Key`: the answer to a change is kept in the same transaction as the change. A client that did not hear the
 * answer asks again and gets it; the change is made once, whatever died in between.
 *
 * Secrets in an answer are kept sealed, under a key that only the caller's token and its Idempotency-Key make together: a
 * launch whose answer was lost does not lose the credentials of what it launched, and the store alone gives nothing away.
 */
import { createHash, createHmac, hkdfSync } from 'node:crypto';
import { AgentError } from '../../contract/failures.ts';
import type { IdempotentAnswer } from '../db/entities/idempotent-answer.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import { openText, sealText } from '../keys/sealing.ts';

/** How long an answer can be asked for again. */
export const keptMs = 24 * 60 * 60 * 1000;

export interface Key {
  readonly id: string;
  readonly bodyHash: string;
  /** Seals what only this caller may see again. Never stored. */
  readonly sealingKey: Buffer;
}

interface Facts {
  readonly header: string | undefined;
  readonly caller: string;
  /** What the caller proved itself with. */
  readonly credential: string;
  readonly method: string;
  readonly url: string;
  readonly body: Buffer;
}

/** Undefined where the client gave no key. Two callers never share one. */
export function keyOf({ header, caller, credential, method, url, body }: Facts): Key | undefined {
  if (header === undefined) {
    return undefined;
  }
  if (!/^[\x21-\x7e]{1,255}$/.test(header)) {
    throw new AgentError('request.invalid', {
      errors: [{ path: '', code: 'idempotency_key', message: 'Idempotency-Key must be 1 to 255 visible characters' }],
    });
  }
  const id = sha256([caller, method, url, header].join('\n'));
  const sealingKey = Buffer.from(hkdfSync('sha256', `${credential}\n${header}`, id, 'gpuaas-idempotent-answer-v1', 32));
  // Keyed, since a body may bring a secret: nobody who has the store can try what it was.
  return { id, bodyHash: createHmac('sha256', sealingKey).update(body).digest('base64url'), sealingKey };
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
  answer: { status: number; body: unknown; secrets: object | undefined },
  now: number,
): Promise<void> {
  await tx.idempotent_answers.delete(key.id);
  await tx.idempotent_answers.insert({
    ...{ id: key.id, body_hash: key.bodyHash, status: answer.status, body: answer.body },
    sealed: answer.secrets === undefined ? null : sealText(JSON.stringify(answer.secrets), key.sealingKey, key.id),
    created_at: new Date(now).toISOString(),
    expires_at: new Date(now + keptMs).toISOString(),
  });
}

/** The answer as it was given, its secrets included. */
export function answerAgain({ body, sealed }: IdempotentAnswer, key: Key): unknown {
  return sealed === null ? body : { ...(body as object), ...JSON.parse(openText(sealed, key.sealingKey, key.id)) };
}

function sha256(data: string): string {
  return createHash('sha256').update(data).digest('base64url');
}

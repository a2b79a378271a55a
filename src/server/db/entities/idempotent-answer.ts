/** What was answered to a request with an `Idempotency-Key`, so that its repetition gets the same answer. */
import { type Static, Type } from 'typebox';
import { closed, nullable, secretHash, text, time } from './fields.ts';

export const IdempotentAnswer = Type.Object(
  {
    id: secretHash('sha256 over token, method, address and key.'),
    body_hash: secretHash('HMAC of the body under a key that is not kept: another body under the same key is refused.'),
    status: Type.Integer({ minimum: 200, maximum: 299, description: 'HTTP status.' }),
    body: Type.Unknown({ description: 'The answer. Secrets that are shown once are not in it.' }),
    sealed: nullable(
      text(65_536, 'AES-256-GCM, base64url.'),
      'Secrets that are shown to this caller only, under a key that its token and its Idempotency-Key make together; ' +
        'neither is kept, so nobody else can open them. Null where there are none.',
    ),
    created_at: time('When it was first answered.'),
    expires_at: time('When it is forgotten.'),
  },
  { ...closed, description: 'An answer that can be given again.' },
);
export type IdempotentAnswer = Static<typeof IdempotentAnswer>;

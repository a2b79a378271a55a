/** Fields that many entities share. */
import { type TSchema, type TString, Type } from 'typebox';
import { identifierPattern } from '../../../contract/identifiers.ts';
import { namePattern } from '../../../contract/name-pattern.ts';

export const closed = { additionalProperties: false } as const;

export function id(description: string) {
  return Type.String({ pattern: identifierPattern, description });
}

export function time(description: string) {
  return Type.String({
    pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$',
    description: `${description} RFC 3339 in UTC with milliseconds, so that texts compare as times do.`,
  });
}

export function text(maxLength: number, description: string) {
  return Type.String({ maxLength, description });
}

/** A name for people as somebody gives it now; the store may have others of before. */
export function given(name: TString) {
  return Type.String({ ...name, pattern: namePattern });
}

/** sha256 of a secret, base64url. The secret itself is nowhere. */
export function secretHash(description: string) {
  return Type.String({ pattern: '^[A-Za-z0-9_-]{43}$', description });
}

export function nullable<S extends TSchema>(schema: S, description: string) {
  return Type.Union([schema, Type.Null()], { description });
}

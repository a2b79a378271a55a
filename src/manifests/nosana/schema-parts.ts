/** What several parts of the shape of a job definition are made of. */
import { type TSchema, Type } from 'typebox';

export const closed = { additionalProperties: false } as const;

/** `%%ops.ID.results.NAME%%` and the like; see `literals.ts`. */
export const exactLiteral = '^%%(ops|globals?)\\.[^%]+%%$';
export const removeIfEmpty = '__remove-if-empty__';

export const Text = (description: string, more: { maxLength?: number; pattern?: string; minLength?: number } = {}) =>
  Type.String({ maxLength: 32_768, ...more, description });
/** `__proto__` would be a fine name, but not a fine key of an object. */
export const named = <S extends TSchema>(value: S, description: string) =>
  Type.Record(Type.String({ pattern: '^(?!__proto__$)[^\\u0000]{1,256}$' }), value, {
    maxProperties: 512,
    additionalProperties: false,
    description,
  });

export const SpreadMarker = Type.Object(
  {
    __spread__: Text('A literal that stands for a JSON list.', { pattern: exactLiteral }),
    chunked: Type.Optional(Type.Boolean({ description: 'True where the list comes in pieces of JSON.' })),
  },
  { ...closed, description: 'Entries that are known only while the job runs.' },
);

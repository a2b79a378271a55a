/** Kinds of field that profiles are made of. */
import { Type } from 'typebox';
import { identifierPattern } from '../../contract/identifiers.ts';

export const closed = { additionalProperties: false } as const;

export const name = (description: string) => Type.String({ pattern: identifierPattern, description });

/** Words for people: no control characters but tab and line feed. */
export const text = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f]*$', description });

/** `__proto__` would be a fine variable name, but not a fine key of an object. */
export const variableName = '^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]{0,127}$';

/** Choices by what a value looks like, so that errors are those of the kind of value that was written, and not of all kinds. */
import { type Static, type TSchema, Type } from 'typebox';

type JsonType = 'string' | 'integer' | 'boolean' | 'object' | 'array';
type Options = { readonly [T in JsonType]?: TSchema };
type OneOf<O extends Options> = { [T in keyof O]: O[T] extends TSchema ? Static<O[T]> : never }[keyof O];

/** By the JSON type. What is of none of the types is told by the keyword `type` alone. */
export function byType<const O extends Options>(options: O, description: string) {
  const types = Object.keys(options) as JsonType[];
  return Type.Unsafe<OneOf<O>>({
    type: types,
    allOf: types.map((type) => choice({ type }, options[type])),
    description,
  });
}

/** Objects by whether they have a key. */
export function byKey<const W extends TSchema, const O extends TSchema>(
  key: string,
  { present, absent }: { readonly present: W; readonly absent: O },
  description: string,
) {
  const has = { type: 'object', properties: { [key]: true }, required: [key] };
  return Type.Unsafe<Static<W> | Static<O>>({ type: 'object', ...choice(has, present, absent), description });
}

function choice(condition: object, met: TSchema | undefined, otherwise?: TSchema) {
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
  return { if: condition, then: met, ...(otherwise && { else: otherwise }) };
}

/** A choice between closed objects that a text field tells apart, so that errors name the branch that was meant. */
import { type Static, type TObject, type TSchema, Type } from 'typebox';

/** Each option must require `tag` as a literal of its own. */
export function taggedUnion<const Options extends readonly TObject[]>(
  tag: string,
  options: Options,
  description: string,
) {
  return Type.Unsafe<Static<Options[number]>>({
    type: 'object',
    discriminator: { propertyName: tag },
    oneOf: options,
    description,
  });
}

/** The options of such a union by their tag, for who does not want to compile all of them to judge one. */
export function optionsByTag(tag: string, union: TSchema): ReadonlyMap<unknown, TObject> {
  const { oneOf } = union as unknown as { oneOf: readonly TObject[] };
  return new Map(oneOf.map((option) => [(option.properties[tag] as { const?: unknown }).const, option]));
}

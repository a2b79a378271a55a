/** A choice between closed objects that a text field tells apart, so that errors name the branch that was meant. */
import { type Static, type TObject, Type } from 'typebox';

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

/**
 * Judges one value by the schema of its parameter, as JSON Schema would. Without the packages that schemas are made with, so
 * that the page judges by the very same code as the server.
 */
import type { PathError } from '../../contract/validate.ts';
import type { ParameterProperty } from './parameter-schema.ts';

/** Most characters of any text, also where a schema names no bound: a launch request takes no longer one. */
export const maxText = 32_768;

export type ParameterValue = string | number | boolean;

/** What is wrong with a value, as JSON Schema would say it; undefined if nothing is. `path` is where the value stands. */
export function judgeParameter(property: ParameterProperty, value: unknown, path: string): PathError | undefined {
  const wrong = wrongType(property, value) ?? wrongChoice(property, value) ?? wrongSize(property, value);
  return wrong && { path, ...wrong };
}

type Wrong = Omit<PathError, 'path'> | undefined;

function wrongType({ type }: ParameterProperty, value: unknown): Wrong {
  const fits =
    type === 'integer' ? Number.isInteger(value) : type === 'number' ? Number.isFinite(value) : typeof value === type;
  return fits ? undefined : { code: 'type', message: `must be ${typeWords[type]}` };
}

const typeWords = { integer: 'a whole number', number: 'a number', string: 'text', boolean: 'true or false' } as const;

function wrongChoice(property: ParameterProperty, value: unknown): Wrong {
  return property.enum === undefined || property.enum.includes(value as string | number)
    ? undefined
    : { code: 'enum', message: `must be one of ${JSON.stringify(property.enum)}` };
}

/** Lengths are counted in characters, as JSON Schema does, not in UTF-16 units. */
function wrongSize({ minimum, maximum, minLength, maxLength = maxText }: ParameterProperty, value: unknown): Wrong {
  if (typeof value === 'number') {
    if (minimum !== undefined && value < minimum) return { code: 'minimum', message: `must be >= ${minimum}` };
    if (maximum !== undefined && value > maximum) return { code: 'maximum', message: `must be <= ${maximum}` };
  }
  if (typeof value === 'string') {
    const length = lengthOf(value);
    if (minLength !== undefined && length < minLength) {
      return { code: 'minLength', message: `must have ${minLength} characters at least` };
    }
    if (length > maxLength) {
      return { code: 'maxLength', message: `must have ${maxLength} characters at most` };
    }
  }
  return undefined;
}

function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}

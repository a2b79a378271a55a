/**
 * Configuration in layers: values laid over each other, each remembering where it came from. Knows schemas, but none of
 * their keys.
 */
import type { TSchema } from 'typebox';
import { pointerToken } from '../contract/pointer.ts';

export type JsonObject = { [key: string]: unknown };

/** Lays `layer` over `target`, noting for each leaf where it came from. Arrays and scalars replace, objects merge. */
export function merge(
  target: JsonObject,
  layer: JsonObject,
  source: string,
  sources: Record<string, string>,
  base = '',
): void {
  for (const [key, value] of Object.entries(layer)) {
    const pointer = `${base}/${pointerToken(key)}`;
    const below = Object.hasOwn(target, key) ? target[key] : undefined;
    if (isObject(value) && (isObject(below) || below === undefined)) {
      const inner = isObject(below) ? below : {};
      define(target, key, inner);
      merge(inner, value, source, sources, pointer);
    } else {
      forget(pointer, sources);
      define(target, key, value);
      sources[pointer] = source;
    }
  }
}

/** Takes away the notes on what was in a value that is replaced. */
function forget(pointer: string, sources: Record<string, string>): void {
  for (const known of Object.keys(sources).filter((each) => each.startsWith(`${pointer}/`))) {
    delete sources[known];
  }
}

/** Assignment that a key named `__proto__` cannot turn into something else; the schema refuses it afterwards. */
function define(target: JsonObject, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The defaults that a schema states, at every depth. */
export function defaultsOf(schema: TSchema): JsonObject {
  const found: JsonObject = {};
  for (const [key, property] of Object.entries(propertiesOf(schema))) {
    const own = (property as { default?: unknown }).default;
    if (isObject(own) || own === undefined) {
      const inner = { ...(isObject(own) ? own : {}), ...defaultsOf(property) };
      if (Object.keys(inner).length > 0) {
        found[key] = inner;
      }
    } else {
      found[key] = own;
    }
  }
  return found;
}

function propertiesOf(schema: TSchema): Record<string, TSchema> {
  return (schema as { properties?: Record<string, TSchema> }).properties ?? {};
}

export interface Variable {
  readonly name: string;
  readonly pointer: string;
  readonly keys: readonly string[];
  readonly schema: TSchema;
}

/** `GPUAAS_AGENT_STATE_DIR`, `GPUAAS_AGENT_GATE_SOCKET`: the path in capitals, joined by `_`. */
export function variablesOf(schema: TSchema, keys: readonly string[] = []): Variable[] {
  return Object.entries(propertiesOf(schema)).flatMap(([key, property]) => {
    const path = [...keys, key];
    const own = {
      name: `GPUAAS_AGENT_${path.join('_').toUpperCase()}`,
      pointer: `/${path.map(pointerToken).join('/')}`,
      keys: path,
      schema: property,
    };
    return [own, ...variablesOf(property, path)];
  });
}

/** An object that holds nothing but the value, at that path. */
export function nest(keys: readonly string[], value: unknown): JsonObject {
  const [key = '', ...rest] = keys;
  return { [key]: rest.length === 0 ? value : nest(rest, value) };
}

/** Lists, objects, numbers and truth values are JSON; where a text is wanted, `123` is a text. */
export function parseValue(text: string, schema: TSchema): unknown {
  const { type, anyOf = [] } = schema as { type?: string; anyOf?: { type?: string }[] };
  const scalar = type === 'number' || type === 'integer' || type === 'boolean';
  const nested = [type, ...anyOf.map((option) => option.type)].some((each) => each === 'array' || each === 'object');
  if (!scalar && !(nested && /^\s*[[{]/.test(text))) {
    return text;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) {
      return text;
    }
    throw error;
  }
}

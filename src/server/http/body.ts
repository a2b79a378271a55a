/** Reads what a request brings, by the schemas of its route. Every error is listed at once. */
import { type TObject, type TSchema, Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judge, type PathError } from '../../contract/validate.ts';

const nothing = Type.Object({}, { additionalProperties: false });

export function readBody(schema: TSchema | undefined, bytes: Buffer | undefined): unknown {
  if (!bytes || bytes.length === 0) {
    return judged(schema ?? nothing, schema ? undefined : {}, '');
  }
  const parsed = readStrictJson(bytes);
  if (!parsed.ok) {
    throw refused(parsed.errors.map((error) => ({ ...error, message: `the body ${error.message}` })));
  }
  return judged(schema ?? nothing, parsed.value, '');
}

export function readParams(schema: TObject | undefined, params: unknown): unknown {
  return judged(schema ?? nothing, params, '');
}

/** Texts of a query become what the schema wants where that is a number or a truth value. */
export function readQuery(schema: TObject | undefined, query: unknown): unknown {
  const wanted = schema ?? nothing;
  const values = Object.entries(query as Record<string, unknown>).map(([key, value]) => [
    key,
    fromText(value, (wanted.properties as Record<string, { type?: string }>)[key]?.type),
  ]);
  return judged(wanted, Object.fromEntries(values), '/query');
}

function fromText(value: unknown, type: string | undefined): unknown {
  if (type === 'integer' && typeof value === 'string' && /^-?\d{1,15}$/.test(value)) {
    return Number(value);
  }
  if (type === 'boolean' && (value === 'true' || value === 'false')) {
    return value === 'true';
  }
  return value;
}

function judged(schema: TSchema, value: unknown, base: string): unknown {
  const result = judge(schema, value);
  if (!result.ok) {
    throw refused(result.errors.map((error) => ({ ...error, path: `${base}${error.path}` })));
  }
  return result.value;
}

function refused(errors: readonly PathError[]): AgentError {
  return new AgentError('request.invalid', {
    errors: errors.map(({ path, code, message }) => ({ path, code, message })),
  });
}

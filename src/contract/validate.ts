/**
 * Judges a value that came from outside by one of our schemas and says at which paths it is wrong.
 *
 * All errors are reported at once, as JSON pointers, so that a person corrects a document in one go. Schemas are
 * compiled on first use only: starting the agent must not pay for schemas it does not need.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { Static, TSchema } from 'typebox';
import { keysOf, pointerToken } from './pointer.ts';
import { shareRepeated } from './share-repeated.ts';

export interface PathError {
  /** JSON pointer into the judged value; empty for the value itself. */
  readonly path: string;
  /** Name of the violated keyword or rule, stable enough for a program. */
  readonly code: string;
  /** What is wrong and what would be right. */
  readonly message: string;
}

export type Judged<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly errors: PathError[] };

const maxErrors = 50;
/** More values than any document of ours has. Each of a hostile array or object costs an error that is never told. */
const maxValues = 8_000;
/** Characters of an unknown key that an error repeats: it must never be larger than what it is about. */
const maxKey = 128;
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const compiled = new WeakMap<object, ValidateFunction>();
let ajv: Ajv | undefined;

/** How schemas are compiled, here and for pages, which may compile nothing. */
export const judging = {
  ...{ allErrors: true, strict: true, strictTypes: false, discriminator: true, ownProperties: true },
  // Our schemas are valid, a test says so; to look at each start takes half the time of compiling them.
  ...{ meta: false, validateSchema: false },
  // What is shared would be written out again at each place of its use.
  inlineRefs: false,
  // Errors then know the schema they are from.
  verbose: true,
} as const;

/** Returns the value as its type, or every error with its path (at most 50). The value is never changed. */
export function judge<S extends TSchema>(schema: S, value: unknown): Judged<Static<S>> {
  if (holdsMoreThan(maxValues, value)) {
    return {
      ok: false,
      errors: [{ path: '', code: 'too_large', message: `must not hold more than ${maxValues} values` }],
    };
  }
  const validate = validatorOf(schema);
  if (validate(value)) {
    return { ok: true, value: value as Static<S> };
  }

  const seen = new Set<string>();
  const errors: PathError[] = [];
  for (const error of validate.errors ?? []) {
    // What is wrong is told by the schema that applies; that one did is no news.
    if (error.keyword === 'if') continue;
    const found = printable(describe(error));
    const key = `${found.path} ${found.message}`;
    if (!seen.has(key) && errors.length < maxErrors) {
      seen.add(key);
      errors.push(found);
    }
  }
  return { ok: false, errors };
}

export interface Fault {
  /** JSON pointer to a part that cannot be relied on; it may be missing. */
  readonly path: string;
  /** True for a key that is not known. */
  readonly isStray: boolean;
}

/**
 * Every place that the schema refuses, also those that `judge` has no room for. Of an object that says by its tag which kind it
 * is of, and is of none, also what any of the kinds would refuse: what is left is right whichever was meant.
 */
export function faultsOf(schema: TSchema, value: unknown): Fault[] {
  if (holdsMoreThan(maxValues, value)) return [{ path: '', isStray: false }];
  const validate = validatorOf(schema);
  const errorsOf = (document: unknown) => (validate(document) ? [] : (validate.errors ?? []));
  const errors = errorsOf(value);
  const untagged = errors.filter(({ keyword }) => keyword === 'discriminator');
  const kinds = untagged.reduce((most, error) => Math.max(most, tagsOf(error).length), 0);
  const guesses = Array.from({ length: kinds }, (_, kind) => {
    const guess = structuredClone(value);
    for (const error of untagged) {
      const tags = tagsOf(error);
      const holder = valueAt(guess, error.instancePath) as Record<string, unknown>;
      holder[error.params['tag'] as string] = tags[kind % tags.length];
    }
    return errorsOf(guess);
  });
  const guessed = guesses.map((found) => faultsAt(found, (error) => placeOf(error, false)));
  const places = guessed.map((found) => new Set(found.map(({ path }) => path)));
  const isStrayInAll = (path: string) => places.every((of) => pathsTo(path).some((place) => of.has(place)));
  return [
    ...faultsAt(errors, (error) => placeOf(error, true)),
    ...guessed.flat().map(({ path, isStray }) => ({ path, isStray: isStray && isStrayInAll(path) })),
  ];
}

/** The path itself, and those of all that it lies in. */
function pathsTo(path: string): string[] {
  const tokens = path.split('/');
  return tokens.map((_, index) => tokens.slice(0, index + 1).join('/'));
}

function faultsAt(errors: readonly ErrorObject[], place: (error: ErrorObject) => string | undefined): Fault[] {
  return errors.flatMap((error) => {
    const path = place(error);
    return path === undefined ? [] : [{ path, isStray: error.keyword === 'additionalProperties' }];
  });
}

/** `isTold`: that the tag is wrong, and nothing about what stands beside it. */
function placeOf({ keyword, params, instancePath }: ErrorObject, isTold: boolean): string | undefined {
  switch (keyword) {
    case 'if':
      return undefined;
    case 'additionalProperties':
      return `${instancePath}/${pointerToken(String(params['additionalProperty']))}`;
    case 'required':
      return `${instancePath}/${pointerToken(String(params['missingProperty']))}`;
    case 'discriminator':
      return isTold ? `${instancePath}/${pointerToken(String(params['tag']))}` : instancePath;
    default:
      return instancePath;
  }
}

/**
 * As `judge`, but what nobody declared is left out of a copy and not refused: who said it may be newer than this program.
 * For what the two sides of a session tell each other, never for what is signed or says what runs.
 */
export function judgeKnown<S extends TSchema>(schema: S, value: unknown): Judged<Static<S>> {
  const judged = judge(schema, value);
  if (judged.ok || !judged.errors.some(({ code }) => code === 'unknown_key')) {
    return judged;
  }
  const known = structuredClone(value);
  for (const { keyword, params, instancePath } of validatorOf(schema).errors ?? []) {
    if (keyword === 'additionalProperties') remove(known, instancePath, String(params['additionalProperty']));
  }
  return judge(schema, known);
}

function remove(document: unknown, pointer: string, key: string): void {
  delete (valueAt(document, pointer) as Record<string, unknown>)[key];
}

function valueAt(document: unknown, pointer: string): unknown {
  return keysOf(pointer).reduce((at, key) => (at as Record<string, unknown>)[key], document);
}

function validatorOf(schema: TSchema): ValidateFunction {
  const known = compiled.get(schema);
  if (known) {
    return known;
  }
  // To tidy up the code that it writes takes half of time and memory of the rest; V8 does so anyway where code is hot.
  ajv ??= new Ajv({ ...judging, code: { optimize: false } });
  const validate = ajv.compile(shareRepeated(schema));
  compiled.set(schema, validate);
  return validate;
}

function describe(error: ErrorObject): PathError {
  const { keyword, params, instancePath, message = 'is not valid' } = error;
  switch (keyword) {
    case 'additionalProperties':
      return {
        path: `${instancePath}/${pointerToken(cut(String(params['additionalProperty'])))}`,
        code: 'unknown_key',
        message: 'is not a known key',
      };
    case 'required':
      return {
        path: `${instancePath}/${pointerToken(String(params['missingProperty']))}`,
        code: 'required',
        message: 'is missing',
      };
    case 'enum':
      return {
        path: instancePath,
        code: keyword,
        message: `must be one of ${JSON.stringify(params['allowedValues'])}`,
      };
    case 'discriminator':
      return {
        path: `${instancePath}/${pointerToken(String(params['tag']))}`,
        code: 'enum',
        message: `must be one of ${JSON.stringify(tagsOf(error))}`,
      };
    case 'type':
      return { path: instancePath, code: keyword, message: `must be ${[params['type']].flat().join(' or ')}` };
    case 'const':
      return { path: instancePath, code: keyword, message: `must be ${JSON.stringify(params['allowedValue'])}` };
    default:
      return { path: instancePath, code: keyword, message };
  }
}

/** A key can hold what hides or reorders the text around it on a screen or in a log. */
function printable({ path, code, message }: PathError): PathError {
  return { path: path.replaceAll(unprintable, '\uFFFD'), code, message: message.replaceAll(unprintable, '\uFFFD') };
}

function cut(key: string): string {
  return key.length > maxKey ? `${key.slice(0, maxKey)}…` : key;
}

/** Without recursion and without a copy: a document may be very deep or very wide. */
function holdsMoreThan(limit: number, document: unknown): boolean {
  const open: unknown[] = [document];
  let seen = 1;
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== 'object' || value === null) {
      continue;
    }
    if (Array.isArray(value)) {
      seen += value.length;
      if (seen > limit) {
        return true;
      }
      open.push(...value.filter((each) => typeof each === 'object'));
      continue;
    }
    for (const key in value) {
      seen += 1;
      if (seen > limit) {
        return true;
      }
      const member = (value as Record<string, unknown>)[key];
      if (typeof member === 'object') open.push(member);
    }
  }
  return false;
}

/** The values that the tag of a tagged union may have. */
function tagsOf({ params, parentSchema }: ErrorObject): unknown[] {
  const { oneOf } = parentSchema as { oneOf: { properties: Record<string, { const: unknown }> }[] };
  return oneOf.map(({ properties }) => properties[params['tag'] as string]?.const);
}

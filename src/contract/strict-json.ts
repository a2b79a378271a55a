/**
 * Reads JSON that a stranger wrote, refusing what two parsers could read differently: a key given twice, `__proto__`,
 * bytes that are not UTF-8, nesting without end. The usual parser takes the last of two equal keys in silence.
 */
import { findGap } from './json-gap.ts';
import type { Judged, PathError } from './validate.ts';

/** Deepest nesting of arrays and objects; the deepest document of ours needs six. */
const maxDepth = 32;

/** Most values in one document; the largest container request has a quarter of that. */
const maxValues = 16_384;

interface Fault extends Pick<PathError, 'code' | 'message'> {
  /** Where in the text, in UTF-16 units; absent for the whole of it. */
  readonly at?: number;
}
type Read =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly text: string; readonly fault: Fault };

export interface Reading {
  /**
   * The value is for `JSON.stringify` alone, which writes each number as the text has it. As a double `1e999` and whole numbers
   * beyond 2^53 would become others, and `1.0` would be written as `1`.
   */
  readonly exact?: boolean;
}

/** The value, or what is wrong as one error whose message continues a sentence: "the body …", "the file …". */
export function readStrictJson(bytes: Uint8Array, reading?: Reading): Judged<unknown> {
  const json = read(bytes, reading);
  return json.ok ? json : { ok: false, errors: [faultOf(json.fault.code, json.fault.message)] };
}

/** As `readStrictJson`, for people: with the line and the column, and what is missing there. */
export function readPlacedJson(bytes: Uint8Array, reading?: Reading): Judged<unknown> {
  const json = read(bytes, reading);
  if (json.ok) return json;
  const { text, fault } = json;
  const gap = fault.code === 'json' ? findGap(text) : undefined;
  const at = gap?.at ?? fault.at;
  const message = gap ? `${fault.message}: ${gap.message}` : fault.message;
  return { ok: false, errors: [faultOf(fault.code, at === undefined ? message : `${placeOf(text, at)}: ${message}`)] };
}

function read(bytes: Uint8Array, { exact = false }: Reading = {}): Read {
  const text = decode(bytes);
  if (text === undefined) return { ok: false, text: '', fault: faultOf('json', 'is not UTF-8') };
  const fault = findFault(text);
  if (fault) return { ok: false, text, fault };
  try {
    return { ok: true, value: exact ? exactly.parse(text, asWritten) : JSON.parse(text) };
  } catch (error) {
    if (error instanceof SyntaxError) return { ok: false, text, fault: notJson };
    throw error;
  }
}

/** What engines have, and the types of the language not yet. */
interface ExactJson {
  parse(text: string, reviver: (key: string, value: unknown, from: { readonly source?: string }) => unknown): unknown;
  /** Of a text that is one number, one string or one word of JSON. */
  rawJSON(text: string): unknown;
}
const exactly = JSON as unknown as ExactJson;

function asWritten(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  return typeof value === 'number' && source !== undefined ? exactly.rawJSON(source) : value;
}

const notJson = faultOf('json', 'is not JSON');

function placeOf(text: string, at: number): string {
  const before = text.slice(0, at).split('\n');
  return `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/**
 * One pass over the text, before anything is built from it: depth and keys. It need not notice every syntax error,
 * since the real parser follows; it must only never miss a key that the parser would see.
 */
function findFault(text: string): Fault | undefined {
  /** Keys of each open object so far; null for an array. */
  const open: (Set<string> | null)[] = [];
  let keyNext = false;
  let values = 1;
  for (let at = 0; at < text.length; at += 1) {
    switch (text[at]) {
      case '"': {
        const end = endOfString(text, at);
        const fault = faultOfString(text.slice(at, end), keyNext ? open.at(-1) : null);
        if (fault) return { ...fault, at };
        keyNext = false;
        at = end - 1;
        break;
      }
      case '{':
      case '[':
        if (open.length === maxDepth) return { ...faultOf('depth', `is nested deeper than ${maxDepth}`), at };
        open.push(text[at] === '{' ? new Set() : null);
        keyNext = text[at] === '{';
        break;
      case '}':
      case ']':
        open.pop();
        keyNext = false;
        break;
      case ',':
        values += 1;
        if (values > maxValues) return faultOf('too_many', `has more than ${maxValues} values`);
        keyNext = open.at(-1) instanceof Set;
        break;
    }
  }
  return undefined;
}

/** Position behind the closing quote of the string that begins at `start`; `start` if it never ends. */
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
  }
  return start;
}

/** `token` is a whole string, or empty for one that never ends; `keys` are given where it is a key. */
function faultOfString(token: string, keys: Set<string> | null | undefined): PathError | undefined {
  if (token === '') return notJson;
  if (!keys) return undefined;
  const key = unquote(token);
  if (key === undefined) return notJson;
  if (key === '__proto__') return faultOf('unknown_key', 'has the key __proto__, which is refused');
  if (keys.has(key)) return faultOf('duplicate_key', `gives the key ${token.slice(0, 64)} twice`);
  keys.add(key);
  return undefined;
}

function unquote(token: string): string | undefined {
  try {
    return JSON.parse(token) as string;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function faultOf(code: string, message: string): PathError {
  return { path: '', code, message };
}

/**
 * Parses JSON that a stranger sent, refusing what two parsers could read differently: a key given twice, `__proto__`,
 * bytes that are not UTF-8, nesting without end.
 *
 * The engine's own parser takes the last of two equal keys and ignores case; the gate sends it nothing but what this
 * parser understood, written anew.
 */
import { AgentError } from '../contract/failures.ts';

/** Deepest nesting of arrays and objects; a container request needs six. */
const maxDepth = 32;

/** Most values in one body; the largest container request has a quarter of that. */
const maxValues = 16_384;

/** Returns the value, or throws `policy.refused` that names what is wrong. */
export function parseStrictJson(bytes: Buffer): unknown {
  const text = decode(bytes);
  guard(text);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refusal('json', 'the body is not JSON', cause);
  }
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw refusal('json', 'the body is not UTF-8', cause);
  }
}

/**
 * One pass over the text, before anything is built from it: depth and keys. It need not notice every syntax error,
 * since the real parser follows; it must only never miss a key that the parser would see.
 */
function guard(text: string): void {
  /** Keys of each open object so far; null for an array. */
  const open: (Set<string> | null)[] = [];
  let keyNext = false;
  let values = 1;
  for (let at = 0; at < text.length; at += 1) {
    switch (text[at]) {
      case '"': {
        const end = endOfString(text, at);
        if (keyNext) claimKey(open.at(-1), text.slice(at, end));
        keyNext = false;
        at = end - 1;
        break;
      }
      case '{':
      case '[':
        if (open.length === maxDepth) throw refusal('depth', `the body is nested deeper than ${maxDepth}`);
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
        if (values > maxValues) throw refusal('too_many', `the body has more than ${maxValues} values`);
        keyNext = open.at(-1) instanceof Set;
        break;
    }
  }
}

/** Position behind the closing quote of the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
  }
  throw refusal('json', 'the body is not JSON');
}

function claimKey(keys: Set<string> | null | undefined, token: string): void {
  if (!keys) return;
  const key = unquote(token);
  if (key === '__proto__') throw refusal('unknown_key', 'the key __proto__ is refused');
  if (keys.has(key)) throw refusal('duplicate_key', `the key ${token.slice(0, 64)} is given twice`);
  keys.add(key);
}

function unquote(token: string): string {
  try {
    return JSON.parse(token) as string;
  } catch (cause) {
    throw refusal('json', 'the body is not JSON', cause);
  }
}

function refusal(code: string, message: string, cause?: unknown): AgentError {
  return new AgentError('policy.refused', { errors: [{ path: '', code, message }] }, { cause });
}

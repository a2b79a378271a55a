/**
 * Reads a manifest that a stranger wrote, as JSON or YAML, into plain values.
 *
 * Both must mean the same to every reader: keys given twice, `__proto__`, tags and merge keys are refused. Work is bounded
 * before a parser sees the text: its size, its nesting, and how often an alias may repeat a part.
 */
import { LineCounter, parseDocument, visit } from 'yaml';
import { readPlacedJson } from '../contract/strict-json.ts';
import type { Judged, PathError } from '../contract/validate.ts';

/** Largest manifest; the curated ones have 6 KiB. */
export const maxManifestBytes = 256 * 1024;
const maxNesting = 32;
const maxAliases = 64;
const maxNodes = 8_192;
/** Characters that the parser stops at. Its time grows faster than their number. */
const maxMarks = 16_384;

/** The value, or what is wrong with the text. A text that begins with `{` is JSON, also in base64, and anything else YAML 1.2. */
export function readDocument(given: string): Judged<unknown> {
  const text = jsonIn(given) ?? given;
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > maxManifestBytes) return fault('too_large', `is larger than ${maxManifestBytes} bytes`);
  return /^\s*\{/.test(text) ? readPlacedJson(bytes) : readYaml(text);
}

/** What is signed travels as base64, in which no other document is: in YAML it would be one word. */
export function jsonIn(text: string): string | undefined {
  const base64 = text.trim();
  // `{` and a quote, a space or a line break.
  const isJson = base64.length % 4 === 0 && /^e[wy][A-Za-z0-9+/]+={0,2}$/.test(base64);
  if (!isJson || base64.length > maxManifestBytes * 2) return undefined;
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  try {
    const json = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return /^\{\s*"/.test(json) ? json : undefined;
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function readYaml(text: string): Judged<unknown> {
  const tooMuch = findExcess(text);
  if (tooMuch) return { ok: false, errors: [tooMuch] };

  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    ...{ version: '1.2', schema: 'core', merge: false, uniqueKeys: false, prettyErrors: false, stringKeys: true },
  });
  const [broken] = [...document.errors, ...document.warnings];
  if (broken) {
    const { line, col } = lines.linePos(broken.pos[0]);
    return fault('yaml', `line ${line}, column ${col}: ${broken.message}`);
  }
  const refused = findRefused(document, lines);
  if (refused) return { ok: false, errors: [refused] };
  try {
    return { ok: true, value: document.toJS({ maxAliasCount: maxAliases }) };
  } catch (error) {
    // The only error that is left: aliases that multiply.
    if (error instanceof ReferenceError) return fault('yaml', 'repeats parts by alias too often');
    throw error;
  }
}

/** Before the parser, which recurses and takes quadratic time for much nesting. */
function findExcess(text: string): PathError | undefined {
  const isDeep = deepestBracket(text) > maxNesting || text.split('\n').some((line) => depthOfLine(line) > maxNesting);
  if (isDeep) return { path: '', code: 'depth', message: `is nested deeper than ${maxNesting}` };
  const marks = text.match(/[-:,"'&*?!|>[\]{}]/g)?.length ?? 0;
  return marks > maxMarks ? tooMany : undefined;
}

/** Brackets in text and comments count as well: balanced, they do no harm, and no manifest needs 32 others. */
function deepestBracket(text: string): number {
  let open = 0;
  let deepest = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    open = bracket === '[' || bracket === '{' ? open + 1 : Math.max(0, open - 1);
    deepest = Math.max(deepest, open);
  }
  return deepest;
}

/** A bound from what stands before the first word: `- - a` nests in one line, and eight spaces in a row are a level. */
function depthOfLine(line: string): number {
  const lead = /^ *(?:[-?:] +)*/.exec(line)?.[0] ?? '';
  return Math.max(lead.match(/[-?:]/g)?.length ?? 0, lead.length / 8);
}

/**
 * Tags give values a meaning that JSON does not have, `<<` and `__proto__` change the object that they stand in, and of two
 * equal keys one would be lost.
 */
function findRefused(document: ReturnType<typeof parseDocument>, lines: LineCounter): PathError | undefined {
  let found: PathError | undefined;
  let nodes = 0;
  visit(document, {
    Node(_key, node) {
      nodes += 1;
      if (nodes > maxNodes) {
        found = tooMany;
      } else if (node.tag?.startsWith('!') || (node.tag !== undefined && !node.tag.startsWith('tag:yaml.org,2002:'))) {
        found = { path: '', code: 'yaml', message: `has the tag ${node.tag.slice(0, 64)}, which is refused` };
      }
      return found && visit.BREAK;
    },
    Map(_key, { items }) {
      found = faultOfKeys(
        items.map(({ key }) => key as Key),
        lines,
      );
      return found && visit.BREAK;
    },
  });
  return found;
}

type Key = { readonly value?: unknown; readonly range?: readonly number[] | null } | null;

/** The parser would compare each key with each other one. */
function faultOfKeys(keys: readonly Key[], lines: LineCounter): PathError | undefined {
  const seen = new Set<string>();
  for (const node of keys) {
    const key = String(node?.value);
    const { line, col } = lines.linePos(node?.range?.[0] ?? 0);
    const where = `line ${line}, column ${col}:`;
    if (key === '__proto__' || key === '<<') {
      return { path: '', code: 'unknown_key', message: `${where} has the key ${key}, which is refused` };
    }
    if (seen.has(key)) {
      return { path: '', code: 'duplicate_key', message: `${where} gives the key ${key.slice(0, 64)} twice` };
    }
    seen.add(key);
  }
  return undefined;
}

const tooMany: PathError = { path: '', code: 'too_many', message: `has more than ${maxNodes} values` };

function fault(code: string, message: string): { ok: false; errors: PathError[] } {
  return { ok: false, errors: [{ path: '', code, message }] };
}

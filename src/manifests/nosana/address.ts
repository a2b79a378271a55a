/** Addresses of data. What one asks, behind its `?`, is a key: such a link is signed, and whoever has it may have the data. */
import type { TextValue } from '../../contract/job-values.ts';
import { pointerToken } from '../../contract/pointer.ts';
import { secretMark } from '../secret-mark.ts';
import type { JobDefinition } from './definition.ts';
import { type Literal, readLiterals } from './literals.ts';

/** The address without its query, and that. A reference in a query is refused before. */
export function splitAddress(address: TextValue): { readonly place: TextValue; readonly query: string | undefined } {
  const pieces = typeof address === 'string' ? [address] : address.join;
  const last = pieces.at(-1);
  const at = typeof last === 'string' ? last.indexOf('?') : -1;
  if (typeof last !== 'string' || at < 0) return { place: address, query: undefined };
  const place = last.slice(0, at);
  return {
    place: typeof address === 'string' ? place : { join: [...pieces.slice(0, -1), ...(place === '' ? [] : [place])] },
    query: last.slice(at + 1) || undefined,
  };
}

/** What is in the place of the query of an address that stands at this path, and of the variables that make it, by JSON pointers. */
export function hiddenIn(text: string, path: string, definition: JobDefinition): Record<string, string> {
  const { variables = {} } = definition.global ?? {};
  const hidden: Record<string, string> = {};
  const at = queryAt(text);
  if (at < text.length) hidden[path] = `${text.slice(0, at)}${secretMark}`;
  for (const { literal, isAsked } of literalsOf(text, definition)) {
    if (literal.kind !== 'variable') continue;
    const value = variables[literal.name] ?? '';
    const from = isAsked ? 0 : queryAt(value);
    if (from < value.length) {
      hidden[`/global/variables/${pointerToken(literal.name)}`] = `${value.slice(0, from)}${secretMark}`;
    }
  }
  return hidden;
}

/** True for what could not be sealed before the job runs: a query that waits for something of the run. */
export function asksForLater(text: string, definition: JobDefinition): boolean {
  return literalsOf(text, definition).some(({ literal, isAsked }) => isAsked && literal.kind !== 'variable');
}

/** The literals of an address, each with whether it stands behind the `?`. */
function literalsOf(text: string, { ops, global }: JobDefinition): { literal: Literal; isAsked: boolean }[] {
  const read = readLiterals(text, () => ops.map(({ id }) => id));
  const found: { literal: Literal; isAsked: boolean }[] = [];
  let isAsked = false;
  for (const piece of read.ok ? read.pieces : []) {
    if (typeof piece !== 'string') found.push({ literal: piece, isAsked });
    const known = typeof piece === 'string' ? piece : variableOf(piece, global);
    isAsked ||= known.includes('?');
  }
  return found;
}

function variableOf(literal: Literal, global: JobDefinition['global']): string {
  return literal.kind === 'variable' ? (global?.variables?.[literal.name] ?? '') : '';
}

/** Behind the first `?` that is not within a literal; the end where there is none. */
function queryAt(text: string): number {
  const bare = text.replace(/%%(ops|globals?)\.[^%]*%%/g, (literal) => ' '.repeat(literal.length));
  const at = bare.indexOf('?');
  return at < 0 ? text.length : at + 1;
}

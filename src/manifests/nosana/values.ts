/** Texts of a definition as values of a plan: what is known now is put in, what is known later becomes a typed reference. */
import type { EnvValue, ListValue, Reference, TextValue } from '../../contract/job-values.ts';
import { isMarker } from './environment.ts';
import { type Literal, readLiterals } from './literals.ts';
import { removeIfEmpty } from './schema-parts.ts';

export interface Names {
  /** Ids of the ops, as the definition has them. */
  readonly ops: readonly string[];
  /** Id of the step of an op. */
  readonly stepOf: (op: string) => string;
  /** All of those: names that nothing else may have, as host names are the same in either case. */
  readonly steps: ReadonlySet<string>;
  readonly variables: Readonly<Record<string, string>>;
}

type Piece = string | Reference;

/** Throws for what `checkLiterals` does not accept. Variables stand in it as they are written. */
function piecesOf(text: string, names: Names): readonly Piece[] {
  const read = readLiterals(text, () => names.ops);
  if (!read.ok) throw new Error(`unchecked literal ${read.literal}`);
  return read.pieces.map((piece) => (typeof piece === 'string' ? piece : referenceOf(piece, names)));
}

function referenceOf(literal: Literal, { stepOf, variables }: Names): Piece {
  switch (literal.kind) {
    case 'variable':
      return variables[literal.name] ?? '';
    case 'fact':
      return { ref: 'job', name: literal.name === 'job' ? 'id' : literal.name };
    case 'host':
      return { ref: 'step_host', step: stepOf(literal.op) };
    case 'endpoint':
      return { ref: 'step_endpoint', step: stepOf(literal.op), port: literal.port };
    case 'result': {
      const { op, name, path } = literal;
      return { ref: 'step_result', step: stepOf(op), name, ...(path.length > 0 && { path: [...path] }) };
    }
  }
}

/** A variable that is a list in JSON becomes its entries, separated by spaces, as a result does. */
export function textOf(text: string, names: Names): TextValue {
  const variables = Object.entries(names.variables).map(([name, value]) => [name, entriesOf(value).join(' ')]);
  const join = joined(piecesOf(text, { ...names, variables: Object.fromEntries(variables) }));
  if (join.every((piece) => typeof piece === 'string')) return join.join('');
  return { join };
}

/** Neighbouring texts become one. */
function joined(pieces: readonly Piece[]): Piece[] {
  const out: Piece[] = [];
  for (const piece of pieces) {
    const last = out.at(-1);
    if (typeof piece === 'string' && typeof last === 'string') out[out.length - 1] = last + piece;
    else out.push(piece);
  }
  return out;
}

/** A literal that is the whole of an entry stands for all entries of a list, a variable too where it is one in JSON. */
export function listOf(words: readonly string[], names: Names): ListValue {
  const kept = words.filter((word) => word !== removeIfEmpty);
  const items = kept.flatMap((word): ListValue['items'] => {
    const pieces = piecesOf(word, names);
    const [only] = pieces;
    if (pieces.length === 1 && only !== undefined && word.startsWith('%%')) {
      return typeof only === 'string' ? entriesOf(only) : [only];
    }
    return [textOf(word, names)];
  });
  return { items, omit_if_empty: kept.length < words.length };
}

function entriesOf(text: string): string[] {
  if (!/^\s*\[/.test(text)) return [text];
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value)
      ? value.flat(8).map((entry) => (typeof entry === 'string' ? entry : JSON.stringify(entry)))
      : [text];
  } catch {
    return [text];
  }
}

/** Later ones win, by name. */
export function envOf(layers: readonly Readonly<Record<string, string>>[], names: Names): EnvValue {
  const all: Record<string, string> = Object.assign({}, ...layers);
  const values: Record<string, TextValue> = {};
  const merge: EnvValue['merge'] = [];
  for (const [name, text] of Object.entries(all)) {
    const value = textOf(text, names);
    if (!isMarker(name)) values[name] = value;
    else merge.push({ kind: name === '__pairs__' ? 'pairs' : 'object', from: value });
  }
  return { values, merge };
}

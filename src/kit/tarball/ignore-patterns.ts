/**
 * The patterns of a `.dockerignore`, as moby's patternmatcher reads them: a pattern holds for a path that it matches and for all
 * below it, and the last one that holds decides. They are a stranger's, so a path is gone through once for each of them, whatever
 * they say, and all of it together in so many steps.
 */
import { posix } from 'node:path';

export interface PatternTrouble {
  readonly line: number;
  /** A clause that goes on after the line. */
  readonly message: string;
}

export type ReadPatterns =
  | { readonly ok: true; readonly patterns: IgnorePatterns }
  | { readonly ok: false; readonly troubles: readonly PatternTrouble[] };

const maxSteps = 100_000_000;
/** Of one path, whose work nothing can come in between. */
const maxStepsOfPath = 5_000_000;
const stepsToBegin = 16;

/** It would take too long. */
export class TooManySteps extends Error {}

/** Of one character, its code point; or of a way that goes without one. */
type Piece =
  | { readonly is: 'one' | 'many'; readonly fits: (char: number) => boolean }
  /** Goes on with the piece behind it, or behind that. */
  | { readonly is: 'maybe' }
  /** Anything up to a slash, and that. */
  | { readonly is: 'folders' };

interface Pattern {
  readonly isException: boolean;
  /** Where it has nothing but characters, with or without folders before them. */
  readonly plain: { readonly text: string; readonly anywhere: boolean } | undefined;
  readonly pieces: readonly Piece[];
  /** Made once, and cleared each time. */
  readonly places: readonly [Places, Places];
  /** Where it was behind the last folder, whose files come one after the other. */
  last: Reached & { readonly folder: string };
}

interface Reached {
  /** Whether it has taken a folder on the way. */
  readonly isThrough: boolean;
  readonly at: readonly number[];
}

const slash = codeOf('/');

/** All of them together take at most so many steps, which is a second or two of work. */
export function readIgnorePatterns(text: string, steps = maxSteps): ReadPatterns {
  const patterns: Pattern[] = [];
  const troubles: PatternTrouble[] = [];
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const written = raw.trim();
    if (raw.startsWith('#') || written === '') continue;
    const isException = written.startsWith('!');
    const path = isException ? written.slice(1).trim() : written;
    try {
      if (path === '') throw new Unreadable('has an exception from nothing');
      const pattern = cleaned(path);
      const pieces = piecesOf(pattern);
      const places = [new Places(pieces), new Places(pieces)] as const;
      const last = { folder: '', isThrough: false, at: [0] };
      patterns.push({ isException, plain: plainOf(pattern), pieces, places, last });
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      troubles.push({ line: index + 1, message: error.message });
    }
  }
  return troubles.length > 0 ? { ok: false, troubles } : { ok: true, patterns: new IgnorePatterns(patterns, steps) };
}

class Unreadable extends Error {}

export class IgnorePatterns {
  readonly #patterns: readonly Pattern[];
  /** Steps so far. */
  spent = 0;
  readonly #most: number;
  #mostOfPath = 0;

  constructor(patterns: readonly Pattern[], steps: number) {
    this.#patterns = patterns;
    this.#most = steps;
  }

  /** Whether this path is left out. Throws `TooManySteps` once it and those before it took too long. */
  has(path: string): boolean {
    this.#mostOfPath = Math.min(this.#most, this.spent + maxStepsOfPath);
    return this.#patterns.findLast((pattern) => this.#holds(pattern, path))?.isException === false;
  }

  /** For the path, or for a folder above it. */
  #holds(pattern: Pattern, path: string): boolean {
    this.#spend(stepsToBegin + path.length / 16);
    const { plain, pieces } = pattern;
    if (plain) {
      const { text, anywhere } = plain;
      return `${path}/`.startsWith(`${text}/`) || (anywhere && `${path}/`.includes(`/${text}/`));
    }
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    if (pattern.last.folder !== folder) pattern.last = { folder, ...this.#go(pattern, [0], folder) };
    const { isThrough, at } = pattern.last;
    return isThrough || this.#go(pattern, at, path.slice(folder.length)).at.includes(pieces.length);
  }

  /** All ways to read it are gone at once. */
  #go({ pieces, places }: Pattern, from: readonly number[], text: string): Reached {
    let [at, next] = places;
    this.#spend(from.length);
    at.clear();
    for (const place of from) at.add(place);
    for (const letter of text) {
      const char = codeOf(letter);
      if (char === slash && at.isAtEnd) return { isThrough: true, at: [] };
      this.#spend(at.count + 1);
      next.clear();
      for (let index = 0; index < at.count; index += 1) advance(at.place(index), char, pieces, next);
      [at, next] = [next, at];
      if (at.count === 0) break;
    }
    return { isThrough: false, at: at.all() };
  }

  #spend(steps: number): void {
    this.spent += steps;
    if (this.spent > this.#mostOfPath) throw new TooManySteps();
  }
}

function advance(place: number, char: number, pieces: readonly Piece[], next: Places): void {
  const piece = pieces[place];
  if (piece?.is === 'folders') {
    next.add(place);
    if (char === slash) next.add(place + 1);
  } else if (piece?.is === 'many' && piece.fits(char)) next.add(place);
  else if (piece?.is === 'one' && piece.fits(char)) next.add(place + 1);
}

/** Where in the pieces one may be; each place once. */
class Places {
  readonly #pieces: readonly Piece[];
  readonly #list: Int32Array;
  readonly #has: Uint8Array;
  count = 0;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
    this.#list = new Int32Array(pieces.length + 1);
    this.#has = new Uint8Array(pieces.length + 1);
  }

  get isAtEnd(): boolean {
    return this.#has[this.#pieces.length] === 1;
  }

  place(index: number): number {
    return this.#list[index] ?? 0;
  }

  all(): number[] {
    return [...this.#list.subarray(0, this.count)];
  }

  clear(): void {
    for (let index = 0; index < this.count; index += 1) this.#has[this.place(index)] = 0;
    this.count = 0;
  }

  /** With those that are reached from it without a character. */
  add(place: number): void {
    const from = this.count;
    this.#put(place);
    for (let index = from; index < this.count; index += 1) {
      const reached = this.place(index);
      const is = this.#pieces[reached]?.is;
      if (is === 'maybe' || is === 'many') this.#put(reached + 1);
      if (is === 'maybe') this.#put(reached + 2);
    }
  }

  #put(place: number): void {
    if (this.#has[place] === 1) return;
    this.#has[place] = 1;
    this.#list[this.count] = place;
    this.count += 1;
  }
}

function cleaned(path: string): string {
  return posix
    .normalize(path)
    .replace(/(.)\/$/, '$1')
    .replace(/^\/(?=.)/, '');
}

const anything = () => true;
const inFolder = (char: number) => char !== slash;

function plainOf(pattern: string): Pattern['plain'] {
  const text = pattern.replace(/^\*\*\//, '');
  return text !== '' && isPlain([...text]) ? { text, anywhere: text !== pattern } : undefined;
}

function piecesOf(pattern: string): Piece[] {
  const chars = Array.from(pattern);
  const pieces: Piece[] = [];
  for (let at = 0; at < chars.length; ) {
    const [read, end] = piecesAt(chars, at);
    pieces.push(...read);
    at = end;
  }
  return pieces;
}

/** What begins there, and where it ends. */
function piecesAt(chars: readonly string[], at: number): [Piece[], number] {
  const char = chars[at] as string;
  if (char === '*' && chars[at + 1] === '*') {
    const end = chars[at + 2] === '/' ? at + 3 : at + 2;
    return [anyFolders(end === chars.length || (end === 2 && isPlain(chars.slice(end)))), end];
  }
  if (char === '*') return [[{ is: 'many', fits: inFolder }], at + 1];
  if (char === '?') return [[{ is: 'one', fits: inFolder }], at + 1];
  if (char === '\\') return [[{ is: 'one', fits: same(escaped(chars, at)) }], at + 2];
  if (char !== '[') return [[{ is: 'one', fits: same(char) }], at + 1];
  const [fits, end] = classOf(chars, at + 1);
  return [[{ is: 'one', fits }], end];
}

/** `**`. At the end, and in a `**name` that has nothing else in it, it takes what it likes; elsewhere whole folders alone. */
function anyFolders(isFree: boolean): Piece[] {
  return isFree ? [{ is: 'many', fits: anything }] : [{ is: 'maybe' }, { is: 'folders' }];
}

function isPlain(chars: readonly string[]): boolean {
  return !chars.some((char) => '*?[]\\'.includes(char));
}

/** What a `[…]` takes whose first character is at `at`, and where it ends. What builders read in two ways is not taken. */
function classOf(chars: readonly string[], at: number): [(char: number) => boolean, number] {
  const isNot = chars[at] === '^';
  const ranges: [number, number][] = [];
  let next = isNot ? at + 1 : at;
  const one = (): number => {
    const char = chars[next] ?? '';
    if (char === '' || '-]*?['.includes(char)) throw new Unreadable('has a [ that is not understood');
    next += char === '\\' ? 2 : 1;
    return codeOf(char === '\\' ? escaped(chars, next - 2) : char);
  };
  do {
    const low = one();
    if (chars[next] === '-') next += 1;
    else {
      ranges.push([low, low]);
      continue;
    }
    const high = one();
    if (high < low) throw new Unreadable('has a range in a [ that ends before it begins');
    ranges.push([low, high]);
  } while (chars[next] !== ']');
  const fits = (char: number) => ranges.some(([low, high]) => low <= char && char <= high) !== isNot;
  return [fits, next + 1];
}

function escaped(chars: readonly string[], at: number): string {
  const char = chars[at + 1] ?? '';
  if (char === '' || /\w/.test(char)) throw new Unreadable('has a \\ before what needs none');
  return char;
}

function same(char: string): (other: number) => boolean {
  const code = codeOf(char);
  return (other) => other === code;
}

function codeOf(char: string): number {
  return char.codePointAt(0) ?? 0;
}

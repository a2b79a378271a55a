/**
 * The secrets that a task has opened, and what takes them out of texts: as they are, as they stand in a JSON text and in
 * a URL, and in the encodings that a program prints without meaning to tell them.
 *
 * A secret that is cut in two is not recognised, so whole texts are cleaned, and what comes in pieces is held back at
 * their borders. A text is read once, however many texts are hidden and however much they and it are alike: workloads write
 * what they like, and all of it is read by the one thread of the agent.
 */
import { textsOf } from './secret-spellings.ts';

/** Shorter texts are no secrets, and taking them out would shred everything else. */
const shortest = 6;
/** What agrees so far with a longer one is taken out as far as it goes on agreeing. */
const beginning = 64;
const redacted = '[redacted]';

export class HiddenTexts {
  readonly #secrets = new Set<string>();
  readonly #texts = new Set<string>();
  /** By their first 64 characters; of one that has fewer, by all of it. */
  readonly #byBeginning = new Map<string, string[]>();
  /** How long the beginnings are that have these first characters; the longest first: it may contain another one. */
  readonly #lengths = new Map<string, number[]>();
  /** 1 at the hash of the first characters of each: nearly every place of a text is passed over by it. */
  #heads: Uint8Array | undefined;
  #longest = 0;

  get isEmpty(): boolean {
    return this.#texts.size === 0;
  }

  /** Keeps this secret out of what is cleaned from now on. */
  hide(secret: string | Buffer): void {
    const key = Buffer.from(secret).toString('latin1');
    if (this.#secrets.has(key)) {
      return;
    }
    this.#secrets.add(key);
    for (const text of textsOf(secret)) {
      if (text.length >= shortest && !this.#texts.has(text)) this.#add(text);
    }
  }

  /** A copy of a JSON value with the hidden texts taken out of every string in it; keys and everything else stay. */
  clean<T>(value: T): T {
    return this.isEmpty ? value : (this.#cleanValue(value) as T);
  }

  /** Cleans a text that comes in pieces. It may begin within a hidden text if its beginning is not `known`. */
  pieces({ known }: { readonly known: boolean }): CleanPieces {
    let held = '';
    let begun = known;
    const begin = () => {
      held = begun ? held : withoutHead(held, this.#texts);
      begun = true;
    };
    return {
      push: (piece) => {
        held += piece;
        if (held.length <= this.#longest) {
          return '';
        }
        begin();
        // What begins before this has its end in what is held.
        const { clean, next } = this.#passOver(held, borderBefore(held, held.length - this.#longest));
        held = held.slice(next);
        return clean;
      },
      end: ({ cut }) => {
        begin();
        const { clean } = this.#passOver(held, held.length);
        held = '';
        return cut ? withoutFoot(clean, this.#texts) : clean;
      },
    };
  }

  #add(text: string): void {
    this.#texts.add(text);
    this.#longest = Math.max(this.#longest, text.length);
    const begun = text.slice(0, beginning);
    this.#byBeginning.getOrInsertComputed(begun, () => []).push(text);
    const head = text.slice(0, shortest);
    const lengths = this.#lengths.getOrInsertComputed(head, () => []);
    if (!lengths.includes(begun.length)) {
      lengths.push(begun.length);
      lengths.sort((a, b) => b - a);
    }
    this.#heads ??= new Uint8Array(hashes);
    this.#heads[head.split('').reduce((hash, unit) => next(hash, unit.charCodeAt(0)), 0)] = 1;
  }

  #cleanValue(value: unknown): unknown {
    if (typeof value === 'string') {
      return this.#passOver(value, value.length).clean;
    }
    if (Array.isArray(value)) {
      return value.map((each) => this.#cleanValue(each));
    }
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, this.#cleanValue(inner)]));
    }
    return value;
  }

  /** The text without the hidden ones that begin before `until`, as far as nothing behind it counts, and where that is. */
  #passOver(text: string, until: number): { readonly clean: string; readonly next: number } {
    const heads = this.#heads;
    let clean = '';
    let from = 0;
    let hash = 0;
    const last = heads === undefined ? 0 : Math.min(text.length, until + shortest - 1);
    for (let index = 0; index < last; index += 1) {
      hash = next(hash, text.charCodeAt(index));
      if (heads?.[hash] === 1) {
        const start = index - shortest + 1;
        const length = start < from ? 0 : this.#hiddenAt(text, start);
        if (length > 0) {
          clean += text.slice(from, start) + redacted;
          from = start + length;
          index = from - 1;
        }
      }
    }
    const end = Math.max(from, until);
    return { clean: clean + text.slice(from, end), next: end };
  }

  /** How many characters have to go from there; 0 where nothing hidden begins. */
  #hiddenAt(text: string, start: number): number {
    for (const length of this.#lengths.get(text.slice(start, start + shortest)) ?? []) {
      const texts = this.#byBeginning.get(text.slice(start, start + length));
      if (texts !== undefined) {
        return length < beginning ? length : Math.max(...texts.map((each) => agreement(each, text, start)));
      }
    }
    return 0;
  }
}

/** How many characters of `hidden` stand in the text from `start` on. */
function agreement(hidden: string, text: string, start: number): number {
  let length = beginning;
  while (length < hidden.length && hidden.charCodeAt(length) === text.charCodeAt(start + length)) {
    length += 1;
  }
  return length;
}

const hashes = 0x1_0000;

/** Of the last six characters only: what was before is shifted out. */
function next(hash: number, code: number): number {
  return ((hash << 3) ^ code) & (hashes - 1);
}

export interface CleanPieces {
  /** What is certain of the text so far and was not given yet. */
  push(piece: string): string;
  /** The rest. It may end within a hidden text if it was `cut`. */
  end(how: { readonly cut: boolean }): string;
}

/** Without the end of a hidden text where the text begins. */
function withoutHead(text: string, texts: Iterable<string>): string {
  const head = text.slice(0, shortest);
  let longest = 0;
  for (const hidden of head.length < shortest ? [] : texts) {
    if (hidden.includes(head, 1)) longest = Math.max(longest, overlap(text.slice(0, hidden.length - 1), hidden));
  }
  return longest < shortest ? text : redacted + text.slice(longest);
}

/** Without the beginning of a hidden text where the text ends. */
function withoutFoot(text: string, texts: Iterable<string>): string {
  const foot = text.slice(-shortest);
  let longest = 0;
  for (const hidden of foot.length < shortest ? [] : texts) {
    if (hidden.includes(foot)) longest = Math.max(longest, overlap(hidden, text.slice(-hidden.length)));
  }
  return longest < shortest ? text : text.slice(0, -longest) + redacted;
}

/** The longest beginning of `pattern` that `subject` ends with, after Knuth, Morris and Pratt: in time that grows with both. */
function overlap(pattern: string, subject: string): number {
  const shorter = new Int32Array(pattern.length);
  const step = (matched: number, code: number): number => {
    let length = matched;
    while (length > 0 && (length === pattern.length || pattern.charCodeAt(length) !== code)) {
      length = shorter[length - 1] ?? 0;
    }
    return pattern.charCodeAt(length) === code ? length + 1 : 0;
  };
  for (let at = 1, matched = 0; at < pattern.length; at += 1) {
    matched = step(matched, pattern.charCodeAt(at));
    shorter[at] = matched;
  }
  let matched = 0;
  for (let at = 0; at < subject.length; at += 1) matched = step(matched, subject.charCodeAt(at));
  return matched;
}

/** At most `index`, and not within a character. */
function borderBefore(text: string, index: number): number {
  const at = Math.max(0, index);
  return /^[\uDC00-\uDFFF]/.test(text.slice(at, at + 1)) && at > 0 ? at - 1 : at;
}

/**
 * How long the values of a Dockerfile may become, and how many volumes. A builder puts them together in the engine itself, which nothing bounds, in a time
 * that grows with the square of their length; and each may hold the one before it as often as its author likes.
 */
import { splitWords } from './dockerfile-words.ts';

/** Characters of an instruction with all values put in. */
export const maxExpanded = 16 * 1024;
/** Of all variables together: each step that a builder takes is kept with them. */
const maxTogether = 128 * 1024;
/** Of one that an image sets, as far as nobody has looked. */
const usualLength = 1024;

/** Of a file: each container of it has all of them. */
export const maxVolumes = 64;

/** Those in whose words a builder looks for values. */
const expanding = new Set(['ADD', 'ARG', 'COPY', 'ENV', 'FROM', 'LABEL', 'STOPSIGNAL', 'USER', 'VOLUME', 'WORKDIR']);

/** Lengths at most: a value counts for as long as it ever was, in whatever stage. */
export class ValueLengths {
  readonly #of = new Map<string, number>();
  readonly #usual: number;
  #together = 0;
  /** Of a variable whose name is made of values. */
  #any = 0;
  #volumes = 0;

  /** `env`: what the images set, as `NAME=value`, where that is known. */
  constructor(env?: readonly string[]) {
    this.#usual = env ? 0 : usualLength;
    for (const entry of env ?? []) this.#put(entry.split('=', 1)[0] ?? '', entry.length);
  }

  /** What is wrong with an instruction, as a clause; instructions have to come in their order. */
  add(keyword: string, text: string): string | undefined {
    if (!expanding.has(keyword)) return undefined;
    if (text.includes('$') && this.lengthOf(text) > maxExpanded) {
      return `may become longer than ${maxExpanded} characters once its values are put in`;
    }
    if (keyword === 'VOLUME') this.#volumes += text.split(/[\s,]+/).length;
    if (this.#volumes > maxVolumes) return `declares more than ${maxVolumes} volumes`;
    if (keyword !== 'ENV' && keyword !== 'ARG') return undefined;
    for (const [name, value] of assigned(text)) this.#put(name, this.lengthOf(value));
    return this.#together > maxTogether
      ? `makes all variables together longer than ${maxTogether} characters`
      : undefined;
  }

  #put(name: string, length: number): void {
    const before = this.#of.get(name) ?? 0;
    this.#of.set(name, Math.max(before, length));
    this.#together += Math.max(0, length - before);
    if (name.includes('$')) this.#any = Math.max(this.#any, length);
  }

  /** Characters of a text with all values put in, at most. */
  lengthOf(text: string): number {
    let length = text.length;
    for (const [, name = '', sign] of text.matchAll(/\$\{?([A-Za-z_]\w*)(:?\+|\/)?/g)) {
      // What is asked for only whether it is there, has no place of its own.
      if (sign?.endsWith('+')) continue;
      const own = Math.max(this.#of.get(name) ?? this.#usual, this.#any);
      // Newer builders put something in the place of each of its parts.
      length += sign === '/' ? own * text.length : own;
    }
    return length;
  }
}

/** Names and values, each as it is written. */
function assigned(text: string): [name: string, value: string][] {
  const words = splitWords(text);
  const isOld = !/^\S*=/.test(text);
  if (isOld || !words) return [[text.split(/[\s=]/, 1)[0] ?? '', text]];
  return words.map((word) => [word.split('=', 1)[0] ?? '', word]);
}

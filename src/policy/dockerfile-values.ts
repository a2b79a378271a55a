/**
 * How long the values of a Dockerfile may become, and how many volumes. A builder puts them together in the engine itself, which nothing bounds, in a time
 * that grows with the square of their length; and each may hold the one before it as often as its author likes.
 *
 * What counts is what any builder may put in. So each `$` has to begin one of the forms that are known here, or be escaped, and what sets a variable
 * has to name it plainly: whatever else some builder knows is refused. A `$` in single quotes is read as elsewhere, since quotes within `${A:-…}` are
 * not told apart here. Commands (RUN, CMD, ENTRYPOINT, HEALTHCHECK) are left to their shell.
 */
import { splitWords } from './dockerfile-words.ts';

/** Characters of an instruction with all values put in. */
export const maxExpanded = 16 * 1024;
/** Of all variables together: each step that a builder takes is kept with them. Also of an instruction without a value. */
const maxTogether = 128 * 1024;
/** Of one that an image sets, as far as nobody has looked. */
const usualLength = 1024;
/** Of all that images set together, as far as nobody has looked: it is left to them. */
export const usualTogether = 16 * 1024;
/** Each may stand in the one before it, and is put together anew for each that it stands in. */
const maxChoices = 64;

/** Of a file: each container of it has all of them. */
export const maxVolumes = 64;

/** Those in whose words a builder looks for values. */
const expanding = new Set(['ADD', 'ARG', 'COPY', 'ENV', 'FROM', 'LABEL', 'STOPSIGNAL', 'USER', 'VOLUME', 'WORKDIR']);
/** Those that may be a list in JSON. */
const listing = new Set(['ADD', 'COPY', 'VOLUME']);

/** What is escaped, and each `$` that is not: before a name, in braces, by itself, or before what some builder may know. */
const valueForm =
  /\\.|\$(?:(?<plain>[A-Za-z_]\w*)(?![\w\u0080-\uffff])|\{(?<braced>[A-Za-z_]\w*)(?:\}|:?(?<choice>[-+?]))|(?![\w{@*#?\-$!\u0080-\uffff])|(?<unknown>.{1,20}))/gs;

/** Names as a builder has them as well: it takes quotes and backslashes away, and puts values in. */
const plainNames: Readonly<Record<string, RegExp>> = {
  ARG: /^[A-Za-z_]\w*$/,
  ENV: /^[A-Za-z_][\w.-]*$/,
};

/** Lengths at most: a value counts for as long as it ever was, in whatever stage. */
export class ValueLengths {
  readonly #of = new Map<string, number>();
  readonly #usual: number;
  readonly #most: number;
  #together = 0;
  #volumes = 0;

  /** `env`: what the images set, as `NAME=value`, where that is known. */
  constructor(env?: readonly string[]) {
    this.#usual = env ? 0 : usualLength;
    this.#most = env ? maxTogether : maxTogether - usualTogether;
    // An engine gives one to an image that has none.
    if (env) this.#of.set('PATH', 128);
    else this.#put('PATH', usualLength);
    for (const entry of env ?? []) this.#put(entry.split('=', 1)[0] ?? '', entry.length);
  }

  /** What is wrong with an instruction, as a clause; instructions have to come in their order. */
  add(keyword: string, text: string): string | undefined {
    if (!expanding.has(keyword)) return undefined;
    const trouble = unknownForm(keyword, text);
    if (trouble !== undefined) return trouble;
    const most = text.includes('$') ? maxExpanded : this.#most;
    if (this.lengthOf(text) > most) return `may become longer than ${most} characters once its values are put in`;
    if (keyword === 'VOLUME') this.#volumes += text.split(/[\s,]+/).length;
    if (this.#volumes > maxVolumes) return `declares more than ${maxVolumes} volumes`;
    if (keyword !== 'ENV' && keyword !== 'ARG') return undefined;
    const before = this.#together;
    for (const [name, value] of assigned(keyword, text) ?? []) this.#put(name, this.lengthOf(value));
    return this.#together > Math.max(this.#most, before)
      ? `makes all variables together longer than ${this.#most} characters`
      : undefined;
  }

  #put(name: string, length: number): void {
    const before = this.#of.get(name) ?? 0;
    this.#of.set(name, Math.max(before, length));
    this.#together += Math.max(0, length - before);
  }

  /** Characters of a text with all values put in, at most. */
  lengthOf(text: string): number {
    let { length } = text;
    for (const { groups: { plain, braced, choice } = {} } of text.matchAll(valueForm)) {
      const name = plain ?? braced;
      // What is asked for only whether it is there, has no place of its own.
      if (name !== undefined && choice !== '+') length += this.#of.get(name) ?? this.#usual;
    }
    return length;
  }
}

/** Names and values that an ENV or ARG sets, each as it is written; undefined where it is not told which. */
export function assigned(keyword: string, text: string): [name: string, value: string][] | undefined {
  const words = splitWords(text);
  if (!words) return undefined;
  const isOld = keyword !== 'ARG' && !words[0]?.includes('=');
  if (isOld) return [[text.split(/[ \t]/, 1)[0] ?? '', text]];
  return words.map((word) => [word.split('=', 1)[0] ?? '', word]);
}

/** What a builder may read otherwise than it is read here, as a clause. */
function unknownForm(keyword: string, text: string): string | undefined {
  let choices = 0;
  for (const { groups: { unknown, choice } = {} } of text.matchAll(valueForm)) {
    if (unknown !== undefined) {
      return `has a $ in a form that is not understood here ($${unknown.split(/[\s"']/, 1)[0]}): write $NAME or \${NAME} for a value, "\\$" for a $`;
    }
    if (choice !== undefined) choices += 1;
  }
  if (choices > maxChoices) return `has more than ${maxChoices} values like \${NAME:-…}`;
  if (listing.has(keyword) && /\\u[0-9a-f]{4}/i.test(text))
    return 'has a character in the form \\u0000: write it as it is';
  const plainName = plainNames[keyword];
  if (!plainName) return undefined;
  const pairs = assigned(keyword, text);
  if (!pairs) return 'has a quote without its end';
  const wrong = pairs.find(([name]) => !plainName.test(name));
  return wrong && `sets ${wrong[0].slice(0, 40)}, which is no plain name: write it in letters, digits and _`;
}

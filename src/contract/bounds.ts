/**
 * How much an answer carries of what was not written by us: words of engine, registry, kernel or workload. Whoever makes
 * an answer cuts it to these bounds, with a mark, so that a result always fits a frame. The schemas allow twice as much:
 * taking a secret out of a text can make it longer.
 */
export const bounds = {
  /** Characters of a name or a word of the engine. */
  word: 256,
  /** Characters of one line of a list, and lines of the list. */
  line: 1024,
  lines: 100,
  /** Characters of a sentence for a person. */
  message: 2048,
  /** Characters of one fact, as JSON writes it, and facts of one thing. */
  fact: 8192,
  facts: 32,
} as const;

const mark = '… [cut]';

/** A text of at most `most` characters, as JSON writes them. */
export function cutText(text: string, most: number): string {
  if (jsonLength(text) <= most) {
    return text;
  }
  let kept = text.slice(0, most).toWellFormed();
  for (let over = most; over > 0; ) {
    over = jsonLength(kept) + mark.length - most;
    // JSON writes no character with more than six.
    kept = kept.slice(0, kept.length - Math.max(0, Math.ceil(over / 6)));
  }
  // A pair of characters may have been cut in two.
  return kept.toWellFormed() + mark;
}

/** The first lines, each cut; the last one says how many are left out. */
export function cutLines(lines: readonly string[]): string[] {
  const kept = lines.slice(0, lines.length > bounds.lines ? bounds.lines - 1 : bounds.lines);
  const leftOut = lines.length - kept.length;
  return [...kept.map((line) => cutText(line, bounds.line)), ...(leftOut > 0 ? [`… [${leftOut} more]`] : [])];
}

/** Facts that fit: of a long list the first ones, and `<name>_left_out` says how many are missing. */
export function cutFacts<Value>(facts: Readonly<Record<string, Value>>): Record<string, Value | string | number> {
  return Object.fromEntries(Object.entries(facts).slice(0, bounds.facts).flatMap(cutFact));
}

function cutFact<Value>([name, value]: [string, Value]): [string, Value | string | number][] {
  if (typeof value === 'string') {
    return [[name, cutText(value, bounds.fact)]];
  }
  if (jsonLength(value) <= bounds.fact) {
    return [[name, value]];
  }
  if (!Array.isArray(value)) {
    return [[name, cutText(JSON.stringify(value), bounds.fact)]];
  }
  const kept = value.slice(0, fitting(value));
  return [
    [name, kept as Value],
    [`${name}_left_out`, value.length - kept.length],
  ];
}

/** How many items of a list fit, with the comma behind each. */
function fitting(items: readonly unknown[]): number {
  let room = bounds.fact - 2;
  return items.findIndex((item) => {
    room -= jsonLength(item) + 1;
    return room < 0;
  });
}

function jsonLength(value: unknown): number {
  return JSON.stringify(value)?.length ?? 0;
}

/** Words of a Dockerfile, quoted or not, and what stands in them for the value of an ARG. */

/** Undefined where a quote is not closed. Quotes and backslashes stay as they are written. */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  const pattern = /\s*((?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'\\])+)/gy;
  let at = 0;
  while (at < text.length && text.slice(at).trim() !== '') {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (!found) return undefined;
    words.push(found[1] as string);
    at = pattern.lastIndex;
  }
  return words;
}

type Values = ReadonlyMap<string, string>;

/** Of a word, before values are put in and after: each may hold the one before it as often as its author likes. */
export const maxValueLength = 4096;

/** A word with its quotes taken away and the values put in; undefined where it is too long or is not understood here. */
export function expand(word: string, values: Values): string | undefined {
  const whole = word.length > maxValueLength ? undefined : expanded(word, values);
  return whole !== undefined && whole.length <= maxValueLength ? whole : undefined;
}

function expanded(word: string, values: Values): string | undefined {
  let out = '';
  let quote = '';
  for (let at = 0; at < word.length; ) {
    const char = word[at] as string;
    if (quote === '' && (char === '"' || char === "'")) {
      quote = char;
      at += 1;
    } else if (char === quote) {
      quote = '';
      at += 1;
    } else if (char === '\\' && quote !== "'") {
      out += word[at + 1] ?? '';
      at += 2;
    } else if (char === '$' && quote !== "'") {
      const found = valueAt(word.slice(at), values);
      if (!found) return undefined;
      out += found.value;
      at += found.length;
    } else {
      out += char;
      at += 1;
    }
  }
  return out;
}

const simple = /^\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/;
const chosen = /^\$\{([A-Za-z_]\w*)(:?)([-+])([^${}"'\\]*)\}/;

function valueAt(text: string, values: Values): { value: string; length: number } | undefined {
  const plain = simple.exec(text);
  if (plain) return { value: values.get(plain[1] ?? plain[2] ?? '') ?? '', length: plain[0].length };
  const found = chosen.exec(text);
  if (!found) return undefined;
  const [whole, name = '', colon, sign, word = ''] = found;
  const value = values.get(name);
  const isSet = value !== undefined && (colon === '' || value !== '');
  const result = sign === '-' ? (isSet ? value : word) : isSet ? word : '';
  return { value: result, length: whole.length };
}

/** A value as one quoted word, which means it and nothing else. Without characters that end a line. */
export function quoted(value: string): string {
  return `"${value.replace(/["\\$]/g, '\\$&')}"`;
}

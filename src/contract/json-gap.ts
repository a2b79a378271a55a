/** Where a text stops being JSON, for people: parsers say it in words of their own, and some not at all. */

export interface Gap {
  /** In UTF-16 units. */
  readonly at: number;
  readonly message: string;
}

/** What may come where, and what is wanted behind it. */
const value = { '{': 'name', '[': 'entry', text: 'done', word: 'done' } as const;
const steps: Readonly<Record<Wanted, Readonly<Record<string, Wanted | 'done'>>>> = {
  value,
  entry: { ...value, ']': 'done' },
  key: { text: 'colon' },
  name: { text: 'colon', '}': 'done' },
  colon: { ':': 'value' },
  member: { ',': 'key', '}': 'done' },
  item: { ',': 'value', ']': 'done' },
  end: {},
};
type Wanted = keyof typeof missing;

/** In words for who left it out. */
const missing = {
  value: 'a value is missing',
  entry: 'a value or `]` is missing',
  key: 'a key in double quotes is missing',
  name: 'a key in double quotes or `}` is missing',
  colon: 'a colon is missing',
  member: 'a comma or `}` is missing',
  item: 'a comma or `]` is missing',
  end: 'something stands behind its end',
};

const blank = /[ \t\n\r]*/y;
// Nothing is repeated within what is repeated: a text without end would be looked at for ever.
const text = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const word = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** Undefined if it is JSON. */
export function findGap(json: string): Gap | undefined {
  const open: string[] = [];
  let wanted: Wanted = 'value';
  for (let at = endOf(blank, json, 0); at < json.length; at = endOf(blank, json, at)) {
    const { sign, end } = signAt(json, at);
    const next: Wanted | 'done' | undefined = steps[wanted][sign];
    if (sign === '"') return { at, message: 'this text has no end, or holds what has to be escaped' };
    if (next === undefined) return { at, message: missing[wanted] };
    if (sign === '{' || sign === '[') open.push(sign);
    if (sign === '}' || sign === ']') open.pop();
    wanted = next === 'done' ? behindValue(open.at(-1)) : next;
    at = end;
  }
  return wanted === 'end' ? undefined : { at: json.length, message: 'it ends too early' };
}

function behindValue(inside: string | undefined): Wanted {
  return inside === undefined ? 'end' : inside === '{' ? 'member' : 'item';
}

function signAt(json: string, at: number): { readonly sign: string; readonly end: number } {
  const mark = json[at] ?? '';
  const isText = mark === '"';
  const end = endOf(isText ? text : word, json, at);
  if (end === at) return { sign: mark, end: at + 1 };
  return { sign: isText ? 'text' : 'word', end };
}

/** Of what the pattern finds at that place; the place itself where it finds nothing. */
function endOf(pattern: RegExp, json: string, at: number): number {
  pattern.lastIndex = at;
  return at + (pattern.exec(json)?.[0].length ?? 0);
}

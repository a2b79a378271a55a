/** Which requirement of the contract is shown by which test: read from the tests themselves, which quote the ids. */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

/** What there is of each series that is begun: from, to. An id of another series, or of another number, is none here. */
const series: Readonly<Record<string, readonly (readonly [from: number, to: number])[]>> = {
  C: [[1, 94]],
  G: [[1, 249]],
  M: [[1, 45]],
  N: [[1, 51]],
  X: [[1, 25]],
};

/** Decided in words rather than built: where the record of the decision is. */
export const decided: Readonly<Record<string, string>> = {
  'C-58': 'advice to authors, said under [long jobs](dialects/computalot.md#long-jobs)',
  'C-74': 'advice to authors, said under [long jobs](dialects/computalot.md#long-jobs)',
  'G-176': 'images are not seeded; [G-248](decisions.md) says how the three are released',
  'X-13': 'no proxy is built; [G-244](decisions.md) says what one would need, an origin for each instance first of all',
  'X-16': 'a job is one task; the other types are [not built](dialects/computalot.md#jobs-of-other-types)',
  'X-17': 'the read model of jobs is our own; [which field is where](dialects/computalot.md#jobs-of-other-types)',
};

export interface Shown {
  /** Relative to the root of the repository. */
  readonly file: string;
  /** The sentence of the test; null where the id stands elsewhere in the file. */
  readonly title: string | null;
}

/** Every id of the series, in order. */
export function allIds(): string[] {
  return Object.entries(series).flatMap(([name, spans]) => spans.flatMap(([from, to]) => idsOf(name, from, to)));
}

function idsOf(name: string, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `${name}-${from + index}`);
}

/** The tests by the id that they quote; `G-107 to G-116` quotes ten, and so does `G-107…G-116`. */
export function shownRequirements(): Map<string, Shown[]> {
  const shown = new Map<string, Shown[]>();
  for (const file of globSync('test/**/*.test.ts', { cwd: root }).sort()) {
    const text = readFileSync(join(root, file), 'utf8');
    const titles = titlesOf(text);
    for (const { ids, at } of quotesOf(text)) {
      const title = titles.find(({ from, to }) => from <= at && at < to)?.title ?? rowAt(text, at);
      for (const id of ids) keep(shown, id, { file, title });
    }
  }
  return shown;
}

function keep(shown: Map<string, Shown[]>, id: string, one: Shown): void {
  const known = shown.get(id) ?? [];
  const isKnown = known.some(({ file, title }) => file === one.file && (title === one.title || one.title === null));
  if (!isKnown) shown.set(id, [...known, one]);
}

/** The sentences of a file of tests, each with what it begins with: `it(`, `it.each(…)(`, `describe.concurrent(`. */
export function titlesOf(text: string) {
  const pattern = /\b(?:it|test|describe)(?:\.\w+(?:\((?:[^()]|\([^()]*\))*\))?)*\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;
  return [...text.matchAll(pattern)].map((match) => ({
    ...{ from: match.index, to: match.index + match[0].length },
    ...{ head: match[0].slice(0, match[0].indexOf(match[1] ?? '')), title: (match[2] ?? '').replaceAll("\\'", "'") },
  }));
}

/** The name of a row of a table of tests, if the id stands in one. */
function rowAt(text: string, at: number): string | null {
  const line = text.slice(text.lastIndexOf('\n', at) + 1, text.indexOf('\n', at));
  const [id = ''] = /^[A-Z]-\d+/.exec(text.slice(at)) ?? [];
  const literals = [...line.matchAll(/(['"`])((?:\\.|(?!\1)[^\\])*)\1/g)].map((match) => match[2] ?? '');
  return literals.find((each) => each.includes(id) && /[a-z]{2}/.test(each)) ?? null;
}

function quotesOf(text: string) {
  return [...text.matchAll(/\b([A-Z])-(\d+)(?: ?(?:to|…) ?(?:\1-)?(\d+))?/g)].flatMap((match) => {
    const [, name = '', first, last = first] = match;
    if (!Object.hasOwn(series, name)) return [];
    return [{ at: match.index, ids: idsOf(name, Number(first), Number(last)) }];
  });
}

/** As `docs/requirements.md` shows it. */
export function requirementsPage(): string {
  const shown = shownRequirements();
  const row = (id: string) => `| ${id} | ${howShown(id, shown.get(id))} |`;
  return [
    '# Requirements and the tests that show them',
    '',
    'Made from the tests, which quote the ids, by `test/unit/house/requirements.test.ts`; do not edit it by hand. After a change:',
    '`npx vitest run --project=unit test/unit/house/requirements.test.ts -u`.',
    '',
    '| id | shown by |',
    '|---|---|',
    ...allIds().map(row),
    '',
  ].join('\n');
}

const mostTests = 3;

function howShown(id: string, tests: readonly Shown[] | undefined): string {
  if (tests) {
    const some = tests.slice(0, mostTests).map(({ file, title }) => {
      const name = `[${file.replace(/^test\//, '').replace(/\.test\.ts$/, '')}](../${file})`;
      return title === null ? name : `${name}: ${cell(title)}`;
    });
    return [...some, ...(tests.length > mostTests ? [`${tests.length - mostTests} more`] : [])].join('<br>');
  }
  return `decided: ${decided[id] ?? '?'}`;
}

/** Without the ids themselves, and harmless in a table. */
function cell(title: string): string {
  const sentence = title.replace(/^(?:[A-Z]-\d+[,:]? )+|\s*\((?:[A-Z]-\d+(?:,? (?:to|and) |, | ?… ?)?)+\)/g, '');
  return sentence.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('*', '\\*').replaceAll('_', '\\_');
}

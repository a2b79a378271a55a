import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findGap } from '../../../src/contract/json-gap.ts';
import { readProfileText } from '../../../src/manifests/gpuaas/read-profile.ts';
import { readDocument } from '../../../src/manifests/read-document.ts';

const codeOf = (text: string) => {
  const read = readDocument(text);
  return read.ok ? 'accepted' : read.errors[0]?.code;
};

describe('readDocument', () => {
  it('reads the same value from JSON and from YAML', () => {
    expect(readDocument('{"a": {"b": [1, "x", true, null]}}')).toEqual(readDocument('a:\n  b: [1, x, true, null]\n'));
  });

  it('reads YAML 1.2: `no`, `on` and times are text', () => {
    expect(readDocument('a: no\nb: on\nc: 12:30:00\nd: 0o17\n')).toEqual({
      ok: true,
      value: { a: 'no', b: 'on', c: '12:30:00', d: 15 },
    });
  });

  it('says where YAML is broken', () => {
    expect(readDocument('a: 1\nb: [1,\n')).toMatchObject({ ok: false, errors: [{ code: 'yaml', path: '' }] });
    expect(readDocument('a: 1\n  b: 2\n')).toMatchObject({
      ok: false,
      errors: [{ message: expect.stringMatching(/^line \d+, column \d+: /) }],
    });
  });

  it.each([
    ['a key given twice', 'a: 1\na: 2\n', 'duplicate_key'],
    ['a key given twice further down', 'x:\n  - b: 1\n    "b": 2\n', 'duplicate_key'],
    ['a key given twice in JSON', '{"a": 1, "a": 2}', 'duplicate_key'],
    ['__proto__', '__proto__:\n  polluted: true\n', 'unknown_key'],
    ['a quoted __proto__', 'a:\n  "__proto__": 1\n', 'unknown_key'],
    ['__proto__ in JSON', '{"__proto__": {"polluted": true}}', 'unknown_key'],
    ['a merge key', 'a: &a {b: 1}\nc:\n  <<: *a\n', 'unknown_key'],
    ['a tag of its own', 'a: !!js/function "function () {}"\n', 'yaml'],
    ['a local tag', 'a: !run whoami\n', 'yaml'],
    ['a key that is a map', '? {a: 1}\n: 2\n', 'yaml'],
    ['two documents', 'a: 1\n---\nb: 2\n', 'yaml'],
  ])('refuses %s', (_what, text, code) => {
    expect(codeOf(text)).toBe(code);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

it('says in which line a key is given again', () => {
  const read = readDocument('x:\n  - b: 1\n    "b": 2\n');

  expect(read).toMatchObject({ errors: [{ message: 'line 3, column 5: gives the key b twice' }] });
});

describe('where JSON is broken is said', () => {
  it.each([
    ['{"a": 1,\n  "b": }', 'line 2, column 8: is not JSON: a value is missing'],
    ['{"a": 1,\n  b: 2}', 'line 2, column 3: is not JSON: a key in double quotes is missing'],
    ['{"a": [1, 2,]}', 'line 1, column 13: is not JSON: a value is missing'],
    ['{"a": 1,}', 'line 1, column 9: is not JSON: a key in double quotes is missing'],
    ['{"a" 1}', 'line 1, column 6: is not JSON: a colon is missing'],
    ['{"a": 1\n "b": 2}', 'line 2, column 2: is not JSON: a comma or `}` is missing'],
    ['{"a": 1}\n}', 'line 2, column 1: is not JSON: something stands behind its end'],
    ['{"a": [1', 'line 1, column 9: is not JSON: it ends too early'],
    ['{"a":\n "b', 'line 2, column 2: is not JSON: this text has no end, or holds what has to be escaped'],
    ['{"a":\n "b\n"}', 'line 2, column 2: is not JSON: this text has no end, or holds what has to be escaped'],
    ['{"a": 01}', 'line 1, column 8: is not JSON: a comma or `}` is missing'],
    ['{"a": 1,\n "a": 2}', 'line 2, column 2: gives the key "a" twice'],
    ['{"a":\n {"__proto__": 2}}', 'line 2, column 3: has the key __proto__, which is refused'],
  ])('%j', (text, message) => {
    expect(readDocument(text)).toMatchObject({ ok: false, errors: [{ path: '', message }] });
  });

  it('for whatever becomes of one, and for no text that is JSON', () => {
    const broken = fc
      .tuple(
        fc.json({ maxDepth: 4 }),
        fc.nat(),
        fc.constantFrom('', ',', ':', '"', '{', '}', '[', ']', '1', '-', '\\', '\n', 't'),
      )
      .map(([json, at, mark]) => {
        const place = at % (json.length + 1);
        return json.slice(0, place) + mark + json.slice(place + (at % 2));
      });
    fc.assert(
      fc.property(broken, (text) => {
        expect(findGap(text) === undefined, text).toBe(isJson(text));
      }),
      { numRuns: 2000 },
    );
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('FAULTS 35: a manifest made to hurt', () => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (const [name, last] of ['ba', 'cb', 'dc', 'ed', 'fe', 'gf'].map((pair) => [pair[0], pair[1]])) {
    bomb.push(`${name}: &${name} [${Array(9).fill(`*${last}`).join(', ')}]`);
  }
  const hostile: Readonly<Record<string, string>> = {
    'deep JSON': `{"a":${'['.repeat(100_000)}`,
    'deep flow YAML': `a: ${'['.repeat(100_000)}`,
    'deep maps': `a: ${'{a: '.repeat(60_000)}`,
    'deep block YAML': Array.from({ length: 700 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
    'deep sequences in one line': `${'- '.repeat(100_000)}a`,
    'a huge array': `a: [${'1,'.repeat(120_000)}1]`,
    'a huge list': '- 1\n'.repeat(60_000),
    'many keys': Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join('\n'),
    'too many bytes': `a: ${'x'.repeat(300_000)}`,
    'aliases that multiply': bomb.join('\n'),
    'many anchors': Array.from({ length: 9_000 }, (_, index) => `- &a${index} *a${index - 1}`).join('\n'),
    'nothing but colons': ':'.repeat(200_000),
    'nothing but quotes': `a: ${'"'.repeat(200_001)}`,
    'nothing but ampersands': '&'.repeat(200_000),
    'nothing but question marks': '? '.repeat(100_000),
  };

  it.each(Object.entries(hostile))('is refused: %s', (_what, text) => {
    expect(readProfileText(text).ok).toBe(false);
  });

  it('leaves a long text alone', () => {
    expect(codeOf(`a: ${'x'.repeat(200_000)}`)).toBe('accepted');
    expect(codeOf(`a: |\n${'  - [ { x: y\n'.repeat(10)}`)).toBe('accepted');
  });
});

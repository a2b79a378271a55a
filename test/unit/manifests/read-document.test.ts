import { describe, expect, it } from 'vitest';
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

/** Patterns of a `.dockerignore`. The first table is that of moby's patternmatcher, as far as its paths are those of a tarball. */
import { describe, expect, it } from 'vitest';
import { readIgnorePatterns, TooManySteps } from '../../../../src/kit/tarball/ignore-patterns.ts';

function patternsOf(...lines: string[]) {
  const read = readIgnorePatterns(lines.join('\n'));
  if (!read.ok) throw new Error(JSON.stringify(read.troubles));
  return read.patterns;
}

it.each([
  ...[
    ['**', 'file'],
    ['**/', 'file'],
    ['**', 'dir/file'],
    ['**/', 'dir/file'],
    ['**/**', 'dir/file'],
  ],
  ...[
    ['dir/**', 'dir/file'],
    ['dir/**', 'dir/dir2/file'],
    ['**/dir', 'dir'],
    ['**/dir', 'dir/file'],
  ],
  ...[
    ['**/dir2/*', 'dir/dir2/file'],
    ['**/dir2/**', 'dir/dir2/dir3/file'],
    ['**file', 'file'],
    ['**file', 'dir/file'],
  ],
  ...[
    ['**/file', 'dir/file'],
    ['**file', 'dir/dir/file'],
    ['**/file', 'dir/dir/file'],
    ['**/file*', 'dir/dir/file'],
  ],
  ...[
    ['**/file*', 'dir/dir/file.txt'],
    ['**/file*txt', 'dir/dir/file.txt'],
    ['**/file*.txt', 'dir/dir/file.txt'],
  ],
  ...[
    ['**/file*.txt*', 'dir/dir/file.txt'],
    ['**/**/*.txt', 'dir/dir/file.txt'],
    ['**/*.txt', 'file.txt'],
  ],
  ...[
    ['**/**/*.txt', 'file.txt'],
    ['a**/*.txt', 'a/file.txt'],
    ['a**/*.txt', 'a/dir/file.txt'],
  ],
  ...[
    ['a**/*.txt', 'a/dir/dir/file.txt'],
    ['a/*.txt', 'a/file.txt'],
    ['a/*.txt**', 'a/file.txt'],
    ['a[b-d]e', 'ace'],
  ],
  ...[
    ['a[^b-d]e', 'aze'],
    ['.*', '.foo'],
    ['abc.def', 'abc.def'],
    ['abc?def', 'abcZdef'],
    ['**/foo/bar', 'foo/bar'],
  ],
  ...[
    ['**/foo/bar', 'dir/foo/bar'],
    ['**/foo/bar', 'dir/dir2/foo/bar'],
    ['abc/**', 'abc/def'],
    ['abc/**', 'abc/def/ghi'],
  ],
  ...[
    ['**/.foo', '.foo'],
    ['a(b)c/def', 'a(b)c/def'],
    ['a.|)$(}+{bc', 'a.|)$(}+{bc'],
    ['dist/*.whl', 'dist/p-2+g08-none.whl'],
  ],
  ...[
    ['a\\*b', 'a*b'],
    ['*', 'abc'],
    ['*c', 'abc'],
    ['a*', 'a'],
    ['a*', 'ab/c'],
    ['a*/b', 'abc/b'],
  ],
  ...[
    ['a*b*c*d*e*/f', 'axbxcxdxe/f'],
    ['a*b*c*d*e*/f', 'axbxcxdxexxx/f'],
    ['a*b?c*x', 'abxbbxdbxebxczzx'],
    ['ab[c]', 'abc'],
  ],
  ...[
    ['ab[^e-g]', 'abc'],
    ['a?b', 'a☺b'],
    ['a[^a]b', 'a☺b'],
    ['[a-ζ]*', 'α'],
    ['[\\]a]', ']'],
    ['[\\-]', '-'],
  ],
  ...[
    ['[x\\-]', 'x'],
    ['[x\\-]', '-'],
    ['[\\-x]', 'x'],
    ['[\\-x]', '-'],
    ['*x', 'xxx'],
    ['docs/', 'docs/README.md'],
  ],
  ...[
    ['/docs', 'docs'],
    ['./docs/../docs', 'docs'],
    ['  docs  ', 'docs'],
    ['\uFEFFdocs', 'docs'],
    ['?', '😀'],
  ],
])('%j takes %j', (pattern, path) => {
  expect(patternsOf(pattern as string).has(path as string)).toBe(true);
});

it.each([
  ...[
    ['**/**/*.txt2', 'dir/dir/file.txt'],
    ['a/*.txt', 'a/dir/file.txt'],
    ['a[b-d]e', 'ae'],
    ['a[b-d]e', 'aae'],
    ['.*', 'foo'],
  ],
  ...[
    ['abc.def', 'abcdef'],
    ['abc.def', 'abcZdef'],
    ['abc?def', 'abcdef'],
    ['abc/**', 'abc'],
    ['**/.foo', 'bar.foo'],
  ],
  ...[
    ['a(b)c/def', 'a(b)c/xyz'],
    ['a*/b', 'a/c/b'],
    ['a*b*c*d*e*/f', 'axbxcxdxe/xxx/f'],
  ],
  ...[
    ['a*b*c*d*e*/f', 'axbxcxdxexxx/fff'],
    ['a*b?c*x', 'abxbbxdbxebxczzy'],
    ['ab[e-g]', 'abc'],
    ['ab[^c]', 'abc'],
  ],
  ...[
    ['ab[^b-d]', 'abc'],
    ['a\\*b', 'ab'],
    ['a???b', 'a☺b'],
    ['a[^a][^a][^a]b', 'a☺b'],
    ['*[a-ζ]', 'A'],
    ['a?b', 'a/b'],
  ],
  ...[
    ['a*b', 'a/b'],
    ['[x\\-]', 'z'],
    ['[\\-x]', 'a'],
    ['#docs', '#docs'],
    ['doc', 'docs'],
    ['.', 'docs'],
    ['docs', 'a/docs'],
  ],
])('%j does not take %j', (pattern, path) => {
  expect(patternsOf(pattern as string).has(path as string)).toBe(false);
});

it.each([
  [['**', '!util/docker/web'], 'util/docker/web/foo', false],
  [['**', '!util/docker/web', 'util/docker/web/foo'], 'util/docker/web/foo', true],
  [['**', '!dist/*.whl'], 'dist/a+b.whl', false],
  [['!fileutils.go', '*.go'], 'fileutils.go', true],
  [['*.go', '!fileutils.go'], 'fileutils.go', false],
  [['docs', '! /docs/README.md'], 'docs/README.md', false],
  [['docs/*', '!docs/README.md'], 'docs/README.md', false],
  [['', '# none', ''], 'docs', false],
])('the last of %j that holds for %j decides', (lines, path, is) => {
  expect(patternsOf(...lines).has(path)).toBe(is);
});

describe('what is no pattern', () => {
  it.each([
    '[]a]',
    '[-]',
    '[x-]',
    '[-x]',
    '\\',
    '[a-b-c]',
    '[',
    '[^',
    '[^bc',
    'a[',
    '!',
    '! ',
    '[Local-Only]/',
    '\\d',
    '[*]',
  ])('%j is told by its line', (pattern) => {
    expect(readIgnorePatterns(`a\r\n${pattern}\n`)).toMatchObject({ ok: false, troubles: [{ line: 2 }] });
  });
});

describe('patterns of a stranger', () => {
  it('are gone through once for each path, however many ways there are to read them', () => {
    const long = 'a'.repeat(255);

    expect(patternsOf(`${'*a'.repeat(100)}b`, `${'**/'.repeat(1000)}b`, `${'a**'.repeat(80)}b`).has(long)).toBe(false);
    expect(patternsOf('*a'.repeat(100)).has(long)).toBe(true);
  });

  it('end where one path alone takes too long, which nothing can come in between', () => {
    const patterns = patternsOf(...Array.from({ length: 20 }, (_, index) => `${'*a'.repeat(1000)}${index}`));

    expect(() => patterns.has('a'.repeat(4000))).toThrow(TooManySteps);
    expect(patterns.spent).toBeLessThan(6_000_000);
  });

  it('end where they take too long', () => {
    const read = readIgnorePatterns(`${'**a*'.repeat(10_000)}b`, 1_000_000);
    if (!read.ok) throw new Error(JSON.stringify(read.troubles));

    expect(() => {
      for (let file = 0; file < 50_000; file += 1) read.patterns.has(`${file}/${'a/'.repeat(60)}x`);
    }).toThrow(TooManySteps);
    expect(read.patterns.spent).toBeLessThan(1_100_000);
  });
});

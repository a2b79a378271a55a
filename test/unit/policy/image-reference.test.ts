import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { assertAllowedImage, isRepoDigestOf, parseImageReference } from '../../../src/policy/image-reference.ts';
import { refusalOf } from './samples.ts';

const hex = '0123456789abcdef'.repeat(4);
const pin = `@sha256:${hex}`;

describe('parseImageReference', () => {
  it.each([
    ['registry.example/app', 'registry.example', 'app'],
    ['registry.example:5000/curated/runtime-cpu', 'registry.example:5000', 'curated/runtime-cpu'],
    ['127.0.0.1:5000/a', '127.0.0.1:5000', 'a'],
    ['localhost/a/b/c', 'localhost', 'a/b/c'],
    ['registry:5000/a', 'registry:5000', 'a'],
    ['r.example:65535/a__b/c.d_e--f', 'r.example:65535', 'a__b/c.d_e--f'],
    ['docker.io/library/busybox', 'docker.io', 'library/busybox'],
  ])('reads %s', (name, host, repository) => {
    expect(parseImageReference(`${name}${pin}`)).toEqual({ host, repository, digest: `sha256:${hex}` });
  });

  it.each([
    ['a tag', 'r.example/app:latest'],
    ['no tag and no digest', 'r.example/app'],
    ['a tag beside the digest', `r.example/app:latest${pin}`],
    ['an empty tag beside the digest', `r.example/app:${pin}`],
    ['a short digest', `r.example/app@sha256:${hex.slice(1)}`],
    ['a long digest', `r.example/app@sha256:${hex}0`],
    ['an upper-case digest', `r.example/app@sha256:${hex.toUpperCase()}`],
    ['an upper-case algorithm', `r.example/app@SHA256:${hex}`],
    ['another algorithm', `r.example/app@sha512:${hex}${hex}`],
    ['an algorithm of the same length', `r.example/app@blake3:${hex}`],
    ['no algorithm', `r.example/app@${hex}`],
    ['a digest with a line break behind it', `r.example/app${pin}\n`],
    ['a digest with a blank before it', `r.example/app@ sha256:${hex}`],
    ['two digests', `r.example/app${pin}${pin}`],
    ['nothing', ''],
  ])('refuses %s as not pinned (G-157, G-211)', (_what, text) => {
    expect(refusalOf(() => parseImageReference(text)).code).toBe('image.not_pinned');
  });

  it.each([
    ['no host', 'app'],
    ['a first segment that the engine takes for a repository', 'library/app'],
    ['an empty host', '/app'],
    ['user information', 'user@r.example/app'],
    ['user information with a password', 'user:secret@r.example/app'],
    ['an allowed-looking user part', 'registry.example/curated@evil.example/app'],
    ['a scheme', 'https://r.example/app'],
    ['an upper-case host', 'R.example/app'],
    ['an upper-case repository', 'r.example/App'],
    ['a Cyrillic letter in the host', 'r.ex\u0430mple/app'],
    ['a Cyrillic letter in the repository', 'r.example/\u0430pp'],
    ['an encoded international host', 'xn--exmple-4nf.example/app'],
    ['a full-width dot', 'r\uff0eexample/app'],
    ['a climbing segment', 'r.example/../app'],
    ['a climbing segment right behind the port', 'r.example:80/..'],
    ['a dot segment', 'r.example/./app'],
    ['a double slash', 'r.example//app'],
    ['a slash at the end', 'r.example/app/'],
    ['an empty repository', 'r.example/'],
    ['port 0', 'r.example:0/app'],
    ['port 99999', 'r.example:99999/app'],
    ['port 65536', 'r.example:65536/app'],
    ['a port with a leading zero', 'r.example:0443/app'],
    ['an empty port', 'r.example:/app'],
    ['two ports', 'r.example:1:2/app'],
    ['a port in words', 'r.example:http/app'],
    ['an IPv6 host', '[::1]:5000/app'],
    ['a blank before the host', ' r.example/app'],
    ['a blank in the repository', 'r.example/a b'],
    ['a tab behind the repository', 'r.example/app\t'],
    ['a line break in the host', 'r.example\n/app'],
    ['a NUL character', 'r.example/app\0'],
    ['a host that begins with a dash', '-r.example/app'],
    ['a host that ends with a dot', 'r.example./app'],
    ['a host with an empty label', 'r..example/app'],
    ['an underscore in the host', 'r_x.example/app'],
    ['a segment that begins with a dot', 'r.example/.app'],
    ['a segment that ends with a dash', 'r.example/app-'],
    ['three underscores', 'r.example/a___b'],
    ['two dots', 'r.example/a..b'],
    ['an encoded slash', 'r.example/a%2fb'],
    ['a query', 'r.example/app?x'],
    ['a backslash', 'r.example\\@evil.example/app'],
    ['a single name of the default registry, which the engine extends', 'docker.io/busybox'],
    ['an alias of the default registry, which the engine renames', 'index.docker.io/library/busybox'],
    ['a name longer than engines take', `r.example/${'a'.repeat(250)}`],
  ])('refuses %s', (_what, name) => {
    expect(refusalOf(() => parseImageReference(`${name}${pin}`)).code).toBe('image.registry_denied');
  });

  it('takes a name as long as engines do, and not longer', () => {
    const name = (length: number) => `r.example/${'a'.repeat(length - 'r.example/'.length)}${pin}`;

    expect(parseImageReference(name(255)).host).toBe('r.example');
    expect(refusalOf(() => parseImageReference(name(256))).code).toBe('image.registry_denied');
  });

  it.each([
    [`sha512:${hex}`, 'Only a sha256 digest'],
    ['sha256:abc', 'has 3 characters instead of 64'],
    [`sha256:${hex.toUpperCase()}`, 'lower-case hex digits'],
  ])('says what is wrong with the digest %s', (digest, words) => {
    expect(refusalOf(() => parseImageReference(`r.example/app@${digest}`)).message).toContain(words);
  });

  it('never repeats what may be a password', () => {
    const texts = [`user:canary@r.example/app${pin}`, 'user:canary@r.example/app', 'canary@r.example/app:tag'];

    const details = texts.map((text) => {
      try {
        return parseImageReference(text);
      } catch (error) {
        return error instanceof AgentError ? error.toFailure() : error;
      }
    });

    expect(JSON.stringify(details)).not.toContain('canary');
  });

  it('reads back whatever it accepts, to the letter', () => {
    const piece = fc.constantFrom(
      'r.example',
      'a',
      'B',
      '/',
      '//',
      ':',
      ':80',
      '@',
      pin,
      '..',
      '-',
      '_',
      '.',
      ' ',
      hex,
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const text = pieces.join('');
        let ref: ReturnType<typeof parseImageReference>;
        try {
          ref = parseImageReference(text);
        } catch (error) {
          return error instanceof AgentError && ['image.not_pinned', 'image.registry_denied'].includes(error.code);
        }
        return `${ref.host}/${ref.repository}@${ref.digest}` === text;
      }),
      { numRuns: 1000 },
    );
  });

  it('answers long hostile text at once (FAULTS 35)', () => {
    const texts = ['a-', 'a.', '_', '/', ':', '@', 'a__', '.'].map((part) => part.repeat(300_000));

    // One that took the square of the length would not be over before the test is ended.
    for (const text of texts) {
      expect(() => parseImageReference(`r.example/${text}${pin}`)).toThrow(AgentError);
      expect(() => parseImageReference(`${text}/a${pin}`)).toThrow(AgentError);
    }
  });
});

describe('assertAllowedImage', () => {
  const registries = [
    { host: 'r.example:5000', prefixes: ['curated', 'team/apps/'] },
    { host: 'open.example', prefixes: [''] },
  ];

  it.each(['r.example:5000/curated', 'r.example:5000/curated/x/y', 'r.example:5000/team/apps/z', 'open.example/any/x'])(
    'allows %s',
    (name) => {
      expect(assertAllowedImage(`${name}${pin}`, registries).digest).toBe(`sha256:${hex}`);
    },
  );

  it.each([
    'r.example:5000/curated-evil/x',
    'r.example:5000/curated.evil',
    'r.example:5000/evil/curated',
    'r.example:5000/team',
    'r.example:5000/team/apps-evil',
    'r.example/curated/x',
    'r.example:50000/curated/x',
    'evil.r.example:5000/curated/x',
    'open.example:443/x',
    'open.example.evil/x',
  ])('refuses %s', (name) => {
    expect(refusalOf(() => assertAllowedImage(`${name}${pin}`, registries)).code).toBe('image.registry_denied');
  });

  it('says whether the registry or the repository is the trouble', () => {
    const message = (name: string) => refusalOf(() => assertAllowedImage(`${name}${pin}`, registries)).message;

    expect(message('r.example:5000/evil')).toContain('Repository evil of r.example:5000');
    expect(message('evil.example/curated')).toContain('Registry evil.example is not allowed');
  });

  it('allows nothing where no registry is listed', () => {
    expect(refusalOf(() => assertAllowedImage(`r.example/a${pin}`, [])).code).toBe('image.registry_denied');
  });
});

describe('isRepoDigestOf', () => {
  const of = (name: string) => parseImageReference(`${name}${pin}`);

  it.each([
    ['r.example/a/b', 'r.example/a/b', true],
    ['docker.io/library/busybox', 'busybox', true],
    ['docker.io/team/app', 'team/app', true],
    ['docker.io/library/a/b', 'a/b', false],
    ['r.example/library/busybox', 'busybox', false],
    ['r.example/a', 'r.example/b', false],
    ['r.example/a', 'undefined', false],
  ])('compares %s with what the engine lists as %s', (name, listed, same) => {
    expect(isRepoDigestOf(`${listed}${pin}`, of(name))).toBe(same);
  });

  it('tells another digest of the same repository apart', () => {
    expect(isRepoDigestOf(`r.example/a@sha256:${'0'.repeat(64)}`, of('r.example/a'))).toBe(false);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgePackages } from '../../../src/policy/python-packages.ts';

describe('judgePackages', () => {
  it.each([
    'numpy',
    'numpy==2.4.4',
    'pandas>=2.2',
    'torch~=2.9',
    'Pillow',
    'zope.interface',
    'ruamel_yaml',
    'a',
    '4ti2',
    'requests[socks]',
    'uvicorn[standard,test]>=0.30,<1',
    'django>=4.2,!=4.2.3,<5',
    'torch==2.9.*',
    'torch!=2.9.*',
    'torch==2.9.0+cu128',
    'jax===0.4.30',
    'x==1!2.0',
    'x==1.0a1',
    'x==1.0.rc1',
    'x==1.0-1',
    'x==1.0.post2',
    'x==1.0.post2.dev3',
    'x>=1.0.dev0',
    'x==v1.0',
    'x==1.0+ubuntu.1-2_3',
    'x~=2.2.post3',
    'x<2',
    'x>1',
    'x<=2',
  ])('accepts %s (G-175)', (token) => {
    expect(judgePackages([token])).toEqual([]);
  });

  it.each([
    ['-r', 'option'],
    ['-rrequirements.txt', 'option'],
    ['-r requirements.txt', 'option'],
    [' -r', 'option'],
    ['--index-url=https://evil.example/simple', 'option'],
    ['--extra-index-url', 'option'],
    ['--', 'option'],
    ['-', 'option'],
    ['-e.', 'option'],
    ['https://evil.example/x.whl', 'url'],
    ['git+https://evil.example/x.git', 'url'],
    ['git+ssh:x', 'url'],
    ['hg+x', 'url'],
    ['file:/etc/passwd', 'url'],
    ['FILE:x', 'url'],
    ['file:///etc/passwd', 'url'],
    ['numpy @ file:x', 'direct_reference'],
    ['numpy@1.0', 'direct_reference'],
    ['numpy @ x', 'direct_reference'],
    ['user@host', 'direct_reference'],
    ['./numpy', 'path'],
    ['../numpy', 'path'],
    ['.', 'path'],
    ['..', 'path'],
    ['/etc/passwd', 'path'],
    ['a/b', 'path'],
    ['a\\b', 'path'],
    ['~/x', 'path'],
    ['evil.whl', 'archive'],
    ['evil.tar.gz', 'archive'],
    ['evil.ZIP', 'archive'],
    ['evil.whl[extra]', 'archive'],
    ['x==1.0+local.zip', 'archive'],
    ['numpy;python_version>"3"', 'marker'],
    ['numpy;', 'marker'],
    ['numpy; rm -rf x', 'marker'],
    ['$(id)', 'shell'],
    ['numpy==$VERSION', 'shell'],
    ['`id`', 'shell'],
    ['numpy|id', 'shell'],
    ['numpy&&id', 'shell'],
    ['numpy#egg', 'shell'],
    ['%HOME%', 'shell'],
    ['numpy\n--index-url=x', 'not_ascii'],
    ['numpy\r', 'not_ascii'],
    ['numpy\0', 'not_ascii'],
    ['numpy\t==1', 'not_ascii'],
    ['n\u0443mpy', 'not_ascii'],
    ['numpy\u2028', 'not_ascii'],
    ['numpy==\uff11', 'not_ascii'],
    ['', 'empty'],
    ['  ', 'empty'],
    ['numpy ==2', 'spaces'],
    ['numpy pandas', 'spaces'],
    ['numpy ', 'spaces'],
    ['a'.repeat(257), 'too_long'],
    ['numpy(>=1)', 'not_a_requirement'],
    ['numpy=2', 'not_a_requirement'],
    ['numpy=>2', 'not_a_requirement'],
    ['numpy==', 'not_a_requirement'],
    ['numpy==2,', 'not_a_requirement'],
    ['numpy,pandas', 'not_a_requirement'],
    ['numpy==2,pandas', 'not_a_requirement'],
    ['==2', 'not_a_requirement'],
    ['_numpy', 'not_a_requirement'],
    ['numpy-', 'not_a_requirement'],
    ['numpy.', 'not_a_requirement'],
    ['numpy[]', 'not_a_requirement'],
    ['numpy[a', 'not_a_requirement'],
    ['numpy[a,]', 'not_a_requirement'],
    ['numpy[-a]', 'not_a_requirement'],
    ['numpy]a[', 'not_a_requirement'],
    ['numpy[a][b]', 'not_a_requirement'],
    ['numpy==latest', 'not_a_requirement'],
    ['numpy==*', 'not_a_requirement'],
    ['numpy>=2.*', 'not_a_requirement'],
    ['numpy===2.*', 'not_a_requirement'],
    ['numpy===anything', 'not_a_requirement'],
    ['numpy==2.*.1', 'not_a_requirement'],
    ['numpy==2.0a1.*', 'not_a_requirement'],
    ['numpy>=2.0+cu1', 'not_a_requirement'],
    ['numpy~=2', 'not_a_requirement'],
    ['numpy~=2.*', 'not_a_requirement'],
    ['numpy<>2', 'not_a_requirement'],
    ['numpy==1.0+', 'not_a_requirement'],
    ['numpy==1..0', 'not_a_requirement'],
  ])('refuses %j as %s (G-173)', (token, code) => {
    expect(judgePackages([token]).map((error) => error.code)).toEqual([code]);
  });

  it('names every bad token with its path, and the good ones not at all', () => {
    const errors = judgePackages(['numpy', '-r', 'torch~=2.9', 'git+https://evil.example/x']);

    expect(errors).toMatchObject([
      { path: '/python_packages/1', token: '-r', message: expect.any(String) },
      { path: '/python_packages/3', token: 'git+https://evil.example/x' },
    ]);
  });

  it('says how to write a requirement that only has spaces too many (G-175)', () => {
    expect(judgePackages(['numpy == 2.4.4'])[0]?.message).toContain('numpy==2.4.4');
  });

  it.each([
    [['numpy', 'NumPy==2']],
    [['zope.interface', 'zope_interface']],
    [['a-b', 'A._-b']],
    [['torch[x]', 'torch>=2']],
  ])('refuses the second of %j', (tokens) => {
    expect(judgePackages(tokens)).toEqual([expect.objectContaining({ path: '/python_packages/1', code: 'repeated' })]);
  });

  it.each([
    ['--pre', 'option', 'begins with `-`: options of the installer are not accepted'],
    ['a b', 'spaces', 'has spaces; write ab'],
    ['_a', 'not_a_requirement', 'is not a name with extras and version specifiers, such as numpy==2.4.4'],
  ])('says of %s where, what and why, and no more', (token, code, message) => {
    expect(judgePackages([token])).toEqual([{ path: '/python_packages/0', code, token, message }]);
  });

  it('does not repeat the password of a URL', () => {
    const [error] = judgePackages(['git+https://user:canary@evil.example/x']);

    expect(error?.token).toContain('evil.example');
    expect(JSON.stringify(error)).not.toContain('canary');
  });

  it('accepts nothing but the characters of a requirement, whatever it is given', () => {
    const piece = fc.constantFrom(
      ...[
        'numpy',
        'a',
        '1',
        '.',
        '-',
        '_',
        '==',
        '~=',
        '>=',
        '===',
        '<',
        '!=',
        ',',
        '[',
        ']',
        '*',
        '+',
        '!',
        'rc',
        'dev',
      ],
      ...[' ', ';', '@', '/', '$(', '`', '\n', '--', 'file:', 'git+', '\u00e9', "'", '.whl', '\\'],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const token = pieces.join('');
        const accepted = judgePackages([token]).length === 0;
        return !accepted || /^[A-Za-z0-9][A-Za-z0-9._,[\]=~!<>*+-]*$/.test(token);
      }),
      { numRuns: 2000 },
    );
  });

  it('judges tokens of 256 hostile characters in time that cannot grow wild', () => {
    const heads = ['', 'a', 'a==', 'a==1', 'a==1+', 'a[', 'a[a', 'a==1.0-'];
    const fills = [
      'a',
      '1',
      '.',
      '-',
      '_',
      '1.',
      'a-',
      '==1,',
      'a,',
      '.dev',
      'rc',
      '-1',
      '+a',
      '.tar',
      '.whl[',
      ' ',
      '.post1',
    ];
    const tokens = heads.flatMap((head) => fills.map((fill) => `${head}${fill.repeat(256)}`.slice(0, 255).concat('!')));

    // A judgement that tried all ways to read a token would not be over before the test is ended.
    for (let round = 0; round < 20; round++) {
      for (const token of tokens) {
        judgePackages([token]);
      }
    }

    expect(tokens.every((token) => judgePackages([token]).length === 1)).toBe(true);
  });
});

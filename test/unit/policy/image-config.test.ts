import { describe, expect, it } from 'vitest';
import { judge } from '../../../src/contract/validate.ts';
import { ImageConfig, importChanges } from '../../../src/policy/image-config.ts';

const isFine = (config: unknown) => judge(ImageConfig, config).ok;

describe('what an imported image says of itself', () => {
  it('is told to the engine so that each value means itself', () => {
    const config = { env: ['A=b c', 'B="x" $HOME \\', 'C=', 'D=e=f'], work_dir: '/a "b" $c' };

    expect(importChanges(config, { 'gpuaas.build.project': 'p' })).toEqual([
      'ENV A="b c"',
      'ENV B="\\"x\\" \\$HOME \\\\"',
      'ENV C=""',
      'ENV D="e=f"',
      'WORKDIR "/a \\"b\\" \\$c"',
      'LABEL gpuaas.build.project="p"',
    ]);
    expect(importChanges({ env: [] }, {})).toEqual([]);
  });

  it.each([
    ...[
      'A',
      '=b',
      'a b=c',
      'A\nUSER root=1',
      'A=1\nUSER root',
      'A=1\rUSER',
      'A=1\u2028LABEL x=1',
      '1A=2',
      'A"=b',
      '$A=b',
    ].map((entry) => ({ env: [entry] })),
    ...['work', '', '/a\nUSER root', '/a\u0000'].map((folder) => ({ env: [], work_dir: folder })),
    { env: Array(257).fill('A=b') },
    { env: [`A=${'x'.repeat(5000)}`] },
    { env: [], user: '0' },
    { env: 'A=b' },
    undefined,
  ])('is nothing that could mean more: %j', (config) => {
    expect(isFine(config)).toBe(false);
  });

  it('is variables and a folder', () => {
    expect(isFine({ env: ['PATH=/bin', 'a.b-c=µ'], work_dir: '/' })).toBe(true);
  });
});

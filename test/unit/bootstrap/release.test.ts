/** What `npm run release` is told. */
import { expect, it } from 'vitest';
import { optionsOf } from '../../../bootstrap/dev/release.ts';

const usual = ['--out', '/tmp/release', '--seq', '3', '--commit', 'c'.repeat(40)];

it('is made for every processor, or for those that are named', () => {
  expect(optionsOf(usual).archs).toEqual(['x64', 'arm64']);
  expect(optionsOf([...usual, '--arch', 'arm64']).archs).toEqual(['arm64']);
});

it.each([[['--arch', 'riscv64']], [['--arch', 'x64', '--arch', 'amd64']]])(
  'is not made for a processor that there is no agent for: %j',
  (args) => {
    expect(() => optionsOf([...usual, ...args])).toThrow(`There is no agent for ${args.at(-1)}`);
  },
);

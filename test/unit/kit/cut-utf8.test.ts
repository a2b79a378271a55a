import { expect, it } from 'vitest';
import { cutUtf8 } from '../../../src/kit/cut-utf8.ts';

it.each([
  ['a text that fits', 'abc', 3, 'abc'],
  ['a text that is too long', 'abcd', 3, 'abc'],
  ['a character of which only a part would fit', 'aé', 2, 'a'],
  ['a pair of surrogates', 'ab😀', 5, 'ab'],
  ['nothing at all', '', 3, ''],
])('keeps whole characters: %s', (_, text, maxBytes, kept) => {
  expect(cutUtf8(text, maxBytes)).toBe(kept);
});

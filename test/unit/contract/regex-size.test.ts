import { RE2JS } from 're2js';
import { expect, it } from 'vitest';
import { maxRegexSize, regexSize } from '../../../src/contract/regex-size.ts';

it.each([
  'x',
  'y{1000}',
  'x{10}y{1,700}z{30,}',
  `(${'x'.repeat(100)}){9}`,
  '((a{10}b){10}c){10}',
  '(?:(?:a{30})+){30}',
  '(abcdefgh)\\Q\\E{1000}',
  '(abcdefgh)(?i){1000}',
])('the program of %s is no larger than was told', (text) => {
  expect(regexSize(text)).toBeGreaterThanOrEqual(RE2JS.compile(text).programSize() - 2);
});

it.each([
  'loss=([0-9.]{1,16}) step=(\\d{1,9})',
  '(https?://[a-z0-9-]{1,63}(\\.[a-z]{2,63}){1,3})',
  'url: (\\S{1,500})',
])('%s is not too large', (text) => {
  expect(regexSize(text)).toBeLessThanOrEqual(maxRegexSize);
});

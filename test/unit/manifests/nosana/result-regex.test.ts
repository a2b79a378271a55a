import { expect, it } from 'vitest';
import { readResultRegex } from '../../../../src/manifests/nosana/result-regex.ts';

it.each(['(?<=made )\\w+', '(?<!un)made', 'made(?= well)', '(?!un)made'])(
  'says of %s that it cannot look around',
  (text) => {
    const message = expect.stringMatching(/look-around, as .*, is not possible; match what stands there/);

    expect(readResultRegex(text)).toEqual({ ok: false, message });
  },
);

it('takes an expression for what it is where it only speaks of that', () => {
  expect(readResultRegex('\\(?<=(.+)')).toMatchObject({ ok: true });
  expect(readResultRegex('\\(?<=(.+')).toMatchObject({
    ok: false,
    message: expect.not.stringContaining('look-around'),
  });
});

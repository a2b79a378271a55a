import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStrictJson } from '../../../src/gate/strict-json.ts';

/** The value, or the code of the refusal. */
function parse(text: string | Buffer): unknown {
  try {
    return parseStrictJson(Buffer.from(text as string));
  } catch (error) {
    return (error as { detail: { errors: { code: string }[] } }).detail.errors[0]?.code;
  }
}

describe('parseStrictJson', () => {
  it('reads whatever JSON.stringify writes', () => {
    const value = fc.jsonValue({ maxDepth: 6 }).filter((sample) => !JSON.stringify(sample).includes('__proto__'));

    fc.assert(
      fc.property(value, (sample) => {
        expect(parse(JSON.stringify(sample))).toEqual(JSON.parse(JSON.stringify(sample)));
      }),
    );
  });

  it.each([
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"x":{"Privileged":false,"b":[{},{"c":1}],"Privileged":true}}',
    '[{"a":"}","a":1}]',
    '{"a":"\\"","b":1,"a":2}',
    '{"a":"\\\\","a":2}',
  ])('refuses a key that is given twice: %s', (text) => {
    expect(parse(text)).toBe('duplicate_key');
  });

  it.each(['{"a":{"b":1},"b":1}', '[{"a":1},{"a":1}]', '{"a":"a","b":["a","b"]}', '{"a":"\\\\","b":"{\\"a\\":1}"}'])(
    'takes equal keys of different objects, and keys in texts, for what they are: %s',
    (text) => {
      expect(parse(text)).toEqual(JSON.parse(text));
    },
  );

  it.each(['{"__proto__":{}}', '{"a":[{"\\u005f_proto__":1}]}'])('refuses a prototype: %s', (text) => {
    expect(parse(text)).toBe('unknown_key');
  });

  it.each(['', '{', '{"a":}', '{"a":1}x', '"', '"\\', '{"a\n":1}', 'NaN', "{'a':1}", '[1,]', '\ufeff{}x'])(
    'refuses what is not JSON: %s',
    (text) => {
      expect(parse(text)).toBe('json');
    },
  );

  it('refuses bytes that are not UTF-8', () => {
    expect(parse(Buffer.from([0x22, 0xff, 0x22]))).toBe('json');
  });

  it.each(['[', '{"a":', '[{"a":'])('refuses nesting without end at once: %s', (unit) => {
    expect(parse(unit.repeat(300_000))).toBe('depth');
  });
});

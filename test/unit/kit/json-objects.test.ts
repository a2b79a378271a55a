import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readObjects } from '../../../src/kit/json-objects.ts';

async function* inPieces(text: string, size: number) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const read = (text: string, size: number, maxBytes = 1000) =>
  Array.fromAsync(readObjects(inPieces(text, size), maxBytes));

describe('a list of objects', () => {
  const objects = [{ a: 'ä]}"\\', b: { c: [{}, [1]] } }, {}, { '}]\\"': null }];

  it.each([1, 2, 7, 1000])('is read as it comes, in pieces of %i', async (size) => {
    expect(await read(JSON.stringify(objects, undefined, 1), size)).toEqual(objects);
    expect(await read(' [ ] ', size)).toEqual([]);
  });

  it('is read in pieces of any size, whatever strings are in it', async () => {
    const text = fc.array(fc.constantFrom('"', '\\', '[', '}', 'x', 'ä')).map((chars) => chars.join(''));

    await fc.assert(
      fc.asyncProperty(fc.array(fc.dictionary(text, text)), fc.integer({ min: 1, max: 40 }), async (list, size) => {
        expect(await read(JSON.stringify(list), size)).toEqual(list);
      }),
    );
  });

  it.each(['', 'null', '[{}', '[{"a":"b]"', '{"message":"no"'])('is refused where it has no end: %s', async (text) => {
    await expect(read(text, 3)).rejects.toThrow('ends before its end');
  });

  it('has no object that is too large, whatever they are together', async () => {
    const list = (length: number) => JSON.stringify(Array.from({ length: 9 }, () => ({ a: 'x'.repeat(length) })));
    expect(await read(list(900), 100)).toHaveLength(9);
    await expect(read(list(1100), 100)).rejects.toThrow('larger than 1000 bytes');
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLines } from '../../../src/kit/lines.ts';

async function* stream(chunks: readonly Uint8Array[]) {
  yield* chunks;
}

async function linesOf(text: string, cuts: readonly number[] = [], limit = 1000): Promise<string[]> {
  const bytes = Buffer.from(text);
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
  return await Array.fromAsync(readLines(stream(chunks), limit));
}

describe('lines of a stream', () => {
  it('are cut at the newline, with or without a carriage return, the last also without', async () => {
    expect(await linesOf('a\nb\r\n\nlast')).toEqual(['a', 'b', '', 'last']);
    expect(await linesOf('a\n')).toEqual(['a']);
    expect(await linesOf('')).toEqual([]);
  });

  it('are the same however the stream is cut, within characters, too', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: fc.constantFrom('a', 'ä', '€', '😀', '\r'), maxLength: 8 }), { maxLength: 8 }),
        fc.array(fc.nat()),
        async (lines, cuts) => {
          const text = lines.join('\n');

          const found = await linesOf(text, cuts);

          expect(found.join('\n')).toBe((await linesOf(text)).join('\n'));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('may not be longer than the limit, also while their end has not come', async () => {
    await expect(linesOf('x'.repeat(1001), [10])).rejects.toThrow(RangeError);
    expect(await linesOf(`${'x'.repeat(900)}\n${'y'.repeat(900)}`, [500])).toHaveLength(2);
  });
});

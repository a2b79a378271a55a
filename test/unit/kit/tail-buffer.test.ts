import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TailBuffer } from '../../../src/kit/tail-buffer.ts';
import { heldBytes } from '../../support/held-memory.ts';

describe('TailBuffer', () => {
  it('is the end of all that was pushed, and says with an ellipsis if something is missing before it', () => {
    const texts = fc.array(fc.string({ maxLength: 40 }), { maxLength: 40 });

    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), texts, (limit, pushed) => {
        const buffer = new TailBuffer(limit);
        for (const text of pushed) {
          buffer.push(text);
        }
        const all = pushed.join('');

        expect(buffer.toString()).toBe(all.length <= limit ? all : `…${all.slice(-limit)}`);
      }),
    );
  });

  it('keeps to its limit however small or large the pieces are', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.array(fc.integer({ min: 0, max: 1000 })), (limit, sizes) => {
        const buffer = new TailBuffer(limit);
        for (const size of sizes) {
          buffer.push('x'.repeat(size));
        }

        expect(buffer.toString().length).toBeLessThanOrEqual(limit + 1);
      }),
    );
  });

  it('can be read in between without losing anything', () => {
    const buffer = new TailBuffer(4);

    const seen = ['ab', 'cd', 'ef', 'g'].map((text) => {
      buffer.push(text);
      return buffer.toString();
    });

    expect(seen).toEqual(['ab', 'abcd', '…cdef', '…defg']);
  });

  it('holds little, however much went through it', async () => {
    const buffer = new TailBuffer(1024);
    const line = 'one line of an endless log\n';
    const before = await heldBytes();

    for (let count = 0; count < 100_000; count += 1) {
      buffer.push(line);
    }

    expect((await heldBytes()) - before).toBeLessThan((100_000 * line.length) / 2);
    expect(buffer.toString()).toHaveLength(1025);
  });
});

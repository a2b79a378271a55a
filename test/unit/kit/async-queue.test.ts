import { describe, expect, it } from 'vitest';
import { AsyncQueue } from '../../../src/kit/async-queue.ts';

describe('a queue', () => {
  it('gives what was pushed, in order, before and while somebody waits', async () => {
    const queue = new AsyncQueue<number | undefined>();
    queue.push(1);
    queue.push(undefined);
    const all = Array.fromAsync(queue);

    await Promise.resolve();
    queue.push(3);
    queue.end();

    expect(await all).toEqual([1, undefined, 3]);
  });

  it('fails behind what is there already', async () => {
    const queue = new AsyncQueue<number>();
    queue.push(1);
    queue.fail(new Error('broken'));
    const seen: number[] = [];

    const reading = (async () => {
      for await (const value of queue) {
        seen.push(value);
      }
    })();

    await expect(reading).rejects.toThrow('broken');
    expect(seen).toEqual([1]);
  });
});

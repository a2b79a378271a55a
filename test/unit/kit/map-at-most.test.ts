import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { mapAtMost } from '../../../src/kit/map-at-most.ts';

describe('work on many items', () => {
  it('has so many at once and no more, and keeps their order', async () => {
    let busy = 0;
    const seen: number[] = [];
    const results = await mapAtMost(3, [5, 1, 4, 2, 3, 0, 6], async (turns) => {
      busy += 1;
      seen.push(busy);
      for (let turn = 0; turn < turns; turn += 1) await setImmediate();
      busy -= 1;
      return turns * 2;
    });

    expect(results).toEqual([10, 2, 8, 4, 6, 0, 12]);
    expect(Math.max(...seen)).toBe(3);
    expect(await mapAtMost(3, [], async () => 1)).toEqual([]);
  });

  it('begins nothing after a failure', async () => {
    const begun: number[] = [];
    const work = mapAtMost(2, [0, 1, 2, 3, 4], async (item) => {
      begun.push(item);
      await setImmediate();
      if (item === 0) throw new Error('no');
    });

    await expect(work).rejects.toThrow('no');
    await setImmediate();
    expect(begun.length).toBeLessThan(4);
  });
});

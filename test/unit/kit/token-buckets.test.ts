import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenBuckets } from '../../../src/kit/token-buckets.ts';

describe('a bucket of tokens', () => {
  it('lets a burst through, and then as many as come back', () => {
    const buckets = new TokenBuckets({ perSecond: 2, burst: 3 });

    expect([0, 0, 0, 0].map((now) => buckets.take('a', now))).toEqual([0, 0, 0, 0.5]);
    expect([499, 500, 500].map((now) => buckets.take('a', now) === 0)).toEqual([false, true, false]);
    expect(Array.from({ length: 5 }, () => buckets.take('a', 60_000) === 0)).toEqual([true, true, true, false, false]);
  });

  it('is each name’s own', () => {
    const buckets = new TokenBuckets({ perSecond: 1, burst: 1 });

    expect([buckets.take('a', 0), buckets.take('b', 0), buckets.take('a', 0)]).toEqual([0, 0, 1]);
  });

  it('never lets more through than the burst and what came back since, whatever the times', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 200 });
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 50 }),
        (waits, burst, perSecond) => {
          const buckets = new TokenBuckets({ burst, perSecond });
          let now = 0;
          let taken = 0;
          for (const wait of waits) {
            now += wait;
            if (buckets.take('a', now) === 0) taken += 1;
          }
          expect(taken).toBeLessThanOrEqual(burst + (now / 1000) * perSecond + 1e-6);
        },
      ),
    );
  });

  it('says when there will be one, and that is true', () => {
    const buckets = new TokenBuckets({ perSecond: 0.2, burst: 1 });
    buckets.take('a', 0);
    const seconds = buckets.take('a', 1000);

    expect(seconds).toBeCloseTo(4);
    expect(buckets.take('a', 1000 + seconds * 1000 - 1)).toBeGreaterThan(0);
    expect(buckets.take('a', 1000 + seconds * 1000)).toBe(0);
  });

  it('takes no memory for a flood of names, and keeps in mind who is heard of all the time', () => {
    const buckets = new TokenBuckets({ perSecond: 1, burst: 1 }, 100);
    for (let index = 0; index < 10_000; index += 1) {
      buckets.take(`address ${index}`, 0);
      buckets.take('the one who floods', 0);
    }

    expect(buckets.names).toBe(100);
    expect(buckets.take('the one who floods', 0)).toBe(1);
    expect(buckets.take('address 1', 0)).toBe(0);
  });
});

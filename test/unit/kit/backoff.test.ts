import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffDelay, fullJitterDelay, pause } from '../../../src/kit/backoff.ts';

describe('backoffDelay', () => {
  const backoffs = fc.record({
    firstMs: fc.integer({ min: 1, max: 10_000 }),
    maxMs: fc.integer({ min: 1, max: 600_000 }),
    factor: fc.double({ min: 1, max: 10, noNaN: true }),
  });

  it('is never longer than the cap and never shorter than half the step, for any attempt and any luck', () => {
    const luck = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

    fc.assert(
      fc.property(backoffs, fc.integer({ min: 1, max: 100_000 }), luck, (backoff, attempt, random) => {
        const delay = backoffDelay(backoff, attempt, () => random);
        const step = Math.min(backoff.maxMs, backoff.firstMs * backoff.factor ** (attempt - 1));

        expect(Number.isInteger(delay)).toBe(true);
        expect(delay).toBeLessThanOrEqual(backoff.maxMs);
        expect(delay).toBeGreaterThanOrEqual(Math.floor(step / 2));
        expect(delay).toBeLessThanOrEqual(Math.ceil(step));
      }),
    );
  });

  it('grows by the factor until the cap', () => {
    const delays = [1, 2, 3, 4, 5].map((attempt) =>
      backoffDelay({ firstMs: 100, maxMs: 500, factor: 2 }, attempt, () => 1),
    );

    expect(delays).toEqual([100, 200, 400, 500, 500]);
  });

  it('differs between two that were sent away at the same moment', () => {
    const delays = Array.from({ length: 50 }, () => backoffDelay({ firstMs: 60_000, maxMs: 60_000, factor: 2 }, 1));

    expect(new Set(delays).size).toBeGreaterThan(10);
  });
});

describe('fullJitterDelay', () => {
  it('is anything from nothing to the whole step', () => {
    const backoff = { firstMs: 250, maxMs: 120_000, factor: 1.5 };

    expect(fullJitterDelay(backoff, 3, () => 0)).toBe(0);
    expect(fullJitterDelay(backoff, 3, () => 1)).toBe(563);
    expect(fullJitterDelay(backoff, 1000, () => 1)).toBe(120_000);
  });
});

describe('pause', () => {
  it('rejects with the reason of the signal as soon as it is aborted', async () => {
    const controller = new AbortController();
    const reason = new Error('cancelled by the operator');
    const paused = pause(60_000, controller.signal);

    controller.abort(reason);

    await expect(paused).rejects.toBe(reason);
  });

  it('does not even begin where the signal was aborted before', async () => {
    const reason = new Error('too late');

    await expect(pause(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('resolves without a signal', async () => {
    await expect(pause(1)).resolves.toBeUndefined();
  });

  it('leaves no listener behind on a signal that lives long', async () => {
    const { signal } = new AbortController();

    for (let round = 0; round < 20; round += 1) {
      await pause(0, signal);
    }

    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

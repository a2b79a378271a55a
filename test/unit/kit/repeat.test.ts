import { expect, it } from 'vitest';
import { repeat } from '../../../src/kit/repeat.ts';
import { manualClock } from '../../support/manual-clock.ts';

it('does it at once and then every time, until it is told to stop', async () => {
  const clock = manualClock();
  const stop = new AbortController();
  const times: number[] = [];

  const running = repeat(() => void times.push(clock.monotonicMs()), {
    ...{ everyMs: 1000, clock, signal: stop.signal },
    onError: () => expect.unreachable(),
  });
  await clock.advance(2500);
  stop.abort();
  await running;
  await clock.advance(10_000);

  expect(times).toEqual([0, 1000, 2000]);
});

it('goes on after something went wrong, and tells it', async () => {
  const clock = manualClock();
  const stop = new AbortController();
  const errors: unknown[] = [];
  let count = 0;

  const running = repeat(
    async () => {
      count += 1;
      if (count === 1) {
        throw new Error('once');
      }
    },
    { ...{ everyMs: 1000, clock, signal: stop.signal }, onError: (error) => errors.push(error) },
  );
  await clock.advance(1000);
  stop.abort();
  await running;

  expect([count, errors]).toEqual([2, [new Error('once')]]);
});

import { expect, it } from 'vitest';
import { systemClock } from '../../../src/kit/clock.ts';

it('goes forward by what was waited for', async () => {
  const before = systemClock.monotonicMs();

  await systemClock.pause(5);

  // A timer may fire a fraction of a millisecond early by the finer clock.
  expect(systemClock.monotonicMs() - before).toBeGreaterThanOrEqual(4);
  expect(Math.abs(systemClock.wallMs() - Date.now())).toBeLessThan(60_000);
});

it('gives up waiting with the reason of the signal', async () => {
  const abort = new AbortController();
  const waiting = systemClock.pause(3_600_000, abort.signal);

  abort.abort(new Error('enough'));

  await expect(waiting).rejects.toThrow('enough');
});

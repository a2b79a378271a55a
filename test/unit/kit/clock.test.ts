import { expect, it } from 'vitest';
import { steadyTime, systemClock } from '../../../src/kit/clock.ts';
import { manualClock } from '../../support/manual-clock.ts';

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

it('has a time of day that follows nobody who sets the clock', async () => {
  const clock = manualClock(Date.parse('2026-11-25T12:00:00Z'));
  const now = steadyTime(clock);

  clock.setWall(Date.parse('2026-11-26T12:00:00Z'));
  await clock.advance(1500);

  expect(now()).toBe(Date.parse('2026-11-25T12:00:01.500Z'));
});

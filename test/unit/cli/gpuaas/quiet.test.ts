import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { QuietWatch } from '../../../../src/cli/gpuaas/quiet.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('speaks after 30 s of silence, then ever less often, five minutes apart at most', () => {
  const times: number[] = [];
  const begin = Date.now();
  const quiet = new QuietWatch(30_000, () => times.push((Date.now() - begin) / 1000));

  vi.advanceTimersByTime(1_000_000);
  quiet.stop();

  expect(times).toEqual([30, 90, 210, 450, 750]);
});

it('begins anew with whatever was heard, and says nothing once it is stopped', () => {
  const speak = vi.fn();
  const quiet = new QuietWatch(30_000, speak);

  for (let second = 0; second < 100; second += 20) {
    quiet.heard();
    vi.advanceTimersByTime(20_000);
  }
  expect(speak).not.toHaveBeenCalled();
  vi.advanceTimersByTime(10_000);
  expect(speak).toHaveBeenCalledTimes(1);
  quiet.stop();
  vi.advanceTimersByTime(600_000);
  expect(speak).toHaveBeenCalledTimes(1);
});

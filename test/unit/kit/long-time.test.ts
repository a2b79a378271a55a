import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { longTimeout } from '../../../src/kit/long-time.ts';

const day = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers();
  // Fake timers do not reach the runtime's own.
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const over = new AbortController();
    setTimeout(() => over.abort(new DOMException('', 'TimeoutError')), ms);
    return over.signal;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe.each([1, 24, 25, 31, 100])('a time of %d days', (days) => {
  it('is over then, and not before', () => {
    const deadline = longTimeout(days * day);
    vi.advanceTimersByTime(days * day - 1);
    expect(deadline.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(deadline.reason).toMatchObject({ name: 'TimeoutError' });
  });
});

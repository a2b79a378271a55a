import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatNanos, formatSeconds, toUnixNanos } from '../../../src/kit/nano-time.ts';

describe('moments with nanoseconds', () => {
  it('become decimal seconds', () => {
    expect(formatSeconds(toUnixNanos('2026-01-01T00:00:00.000000001Z') ?? 0n)).toBe('1767225600.000000001');
    expect(formatSeconds(toUnixNanos('2026-01-01T00:00:00.5Z') ?? 0n)).toBe('1767225600.500000000');
    expect(formatSeconds(toUnixNanos('2026-01-01T00:00:00Z') ?? 0n)).toBe('1767225600.000000000');
  });

  it('are there and back the same', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n }), (nanos) => {
        expect(toUnixNanos(formatNanos(nanos))).toBe(nanos);
        expect(formatSeconds(nanos)).toMatch(/^\d+\.\d{9}$/);
      }),
    );
  });

  it('sort as text like the moments they are', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 61n }), fc.bigInt({ min: 0n, max: 2n ** 61n }), (a, b) => {
        expect(formatNanos(a) < formatNanos(b)).toBe(a < b);
      }),
    );
  });

  it.each([
    '',
    'now',
    '2026-01-01',
    '2026-13-01T00:00:00Z',
    '2026-01-01T00:00:00+01:00',
    '2026-01-01T00:00:00.1234567890Z',
  ])('are not read out of %j', (text) => {
    expect(toUnixNanos(text)).toBeUndefined();
  });
});

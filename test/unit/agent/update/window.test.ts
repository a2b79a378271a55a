import { describe, expect, it } from 'vitest';
import { believableTime } from '../../../../src/agent/update/believable-time.ts';
import type { UpdateWindow } from '../../../../src/agent/update/update-config.ts';
import { isOpen, opensAt } from '../../../../src/agent/update/window.ts';

/** 2026-11-24 is a Tuesday. */
const night: UpdateWindow = { days: ['tue'], from: '22:00', to: '04:00', utc: true };
const noon: UpdateWindow = { days: ['mon', 'wed'], from: '12:00', to: '13:30', utc: true };

describe('a window', () => {
  it.each([
    [night, '2026-11-24T21:59:59Z', false],
    [night, '2026-11-24T22:00:00Z', true],
    [night, '2026-11-25T03:59:59Z', true],
    [night, '2026-11-25T04:00:00Z', false],
    [night, '2026-11-24T03:00:00Z', false],
    [noon, '2026-11-23T12:00:00Z', true],
    [noon, '2026-11-24T12:30:00Z', false],
    [noon, '2026-11-25T13:29:59Z', true],
    [noon, '2026-11-25T13:30:00Z', false],
    [{ ...noon, from: '12:00', to: '12:00' }, '2026-11-26T11:59:00Z', true],
  ])('%j is at %s open: %s', (window, time, open) => {
    expect(isOpen(window, Date.parse(time))).toBe(open);
  });

  it('tells when it opens, and now where it is open', () => {
    expect(opensAt(night, Date.parse('2026-11-25T04:00:30Z'))).toBe('2026-12-01T22:00:00.000Z');
    expect(opensAt(night, Date.parse('2026-11-24T23:15:10Z'))).toBe('2026-11-24T23:15:00.000Z');
  });

  it('may be of the zone of the host', () => {
    const at = new Date(2026, 10, 24, 22, 30).getTime();

    expect(isOpen({ ...night, utc: false }, at)).toBe(true);
  });
});

it('a clock from before this program was written is not believed; one that is, with two days of patience', () => {
  expect(believableTime(0)).toBeNull();
  expect(believableTime(Date.parse('2026-12-03T00:00:00Z'))).toBe(Date.parse('2026-12-01T00:00:00Z'));
});

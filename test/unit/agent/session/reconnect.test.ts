import { describe, expect, it } from 'vitest';
import { type Ending, retryAfter } from '../../../../src/agent/session/reconnect.ts';

const lost: Ending = { code: 1006, reason: 'reset', stoodMs: 0 };
const most = () => 1;

describe('trouble of the network', () => {
  it('is met with longer and longer waits, up to two minutes, each anything from nothing to the whole', () => {
    const delays: number[] = [];
    for (let attempt = 0; delays.length < 20; ) {
      const retry = retryAfter(lost, attempt, most);
      delays.push(retry.delayMs);
      attempt = retry.attempt;
    }

    expect(delays.slice(0, 4)).toEqual([250, 375, 563, 844]);
    expect(delays.at(-1)).toBe(120_000);
    expect(retryAfter(lost, 10, () => 0).delayMs).toBe(0);
  });

  it('begins anew after a session that stood for a minute, and not after a shorter one', () => {
    expect(retryAfter({ ...lost, stoodMs: 60_000 }, 9, most)).toEqual({ attempt: 1, delayMs: 250 });
    expect(retryAfter({ ...lost, stoodMs: 59_999 }, 9, most).attempt).toBe(10);
  });
});

describe('a control plane that goes away', () => {
  it('is not dialled before the time that it said, and not by all at the same moment', () => {
    const asked: Ending = { code: 1001, reason: '', stoodMs: 120_000, retryAfterSeconds: 60 };

    expect(retryAfter(asked, 0, () => 0).delayMs).toBe(60_000);
    expect(retryAfter(asked, 0, most).delayMs).toBe(90_250);
    expect(retryAfter({ ...asked, retryAfterSeconds: 4 }, 0, most).delayMs).toBe(8250);
  });

  it.each([3601, 2_147_484, 1e300, Number.POSITIVE_INFINITY])(
    'is asked again after an hour at most: %d s',
    (seconds) => {
      const asked: Ending = { code: undefined, reason: '', stoodMs: 0, retryAfterSeconds: seconds };

      expect(retryAfter(asked, 0, () => 0).delayMs).toBe(3_600_000);
    },
  );
});

describe('a no of the control plane', () => {
  it.each([
    [4401, 'unauthenticated', 120_000],
    [4403, 'revoked', 1_800_000],
    [4409, 'superseded', 40_000],
    [4423, 'quarantined', 40_000],
  ])('by close code %i is %s and waits at least %i ms', (code, trouble, ms) => {
    const no: Ending = { code, reason: '', stoodMs: 120_000 };

    expect(retryAfter(no, 0, () => 0)).toEqual({ attempt: 1, delayMs: ms, trouble });
    expect(retryAfter(no, 0, most).delayMs).toBe(ms * 1.5);
  });
});

import { describe, expect, it } from 'vitest';
import { decideRestart } from '../../../../src/agent/supervision/restart-policy.ts';

const crash = { exitCode: 1, oomKilled: false };
const success = { exitCode: 0, oomKilled: false };
const oom = { exitCode: 0, oomKilled: true };
const longest = () => 1;

describe('the restart policy', () => {
  it.each([
    ['no', crash, false],
    ['on_failure', success, false],
    ['on_failure', crash, true],
    ['on_failure', oom, true],
    ['on_failure', { exitCode: null, oomKilled: false }, true],
    ['always', success, true],
  ] as const)('%s after %o: restart %s', (policy, end, restart) => {
    expect(decideRestart({ policy, max_retries: 3 }, end, 0)).toMatchObject({ restart });
  });

  it('waits longer each time, up to five minutes', () => {
    const delays = [0, 1, 2, 20].map((streak) =>
      decideRestart({ policy: 'always', max_retries: 100 }, crash, streak, longest),
    );

    expect(delays.map((decision) => (decision.restart ? decision.delayMs : null))).toEqual([1000, 2000, 4000, 300_000]);
  });

  it('gives up after max_retries in a row and says that this was why', () => {
    expect(decideRestart({ policy: 'always', max_retries: 2 }, crash, 2)).toEqual({
      restart: false,
      because: 'exhausted',
    });
    expect(decideRestart({ policy: 'always', max_retries: 0 }, crash, 0)).toEqual({
      restart: false,
      because: 'exhausted',
    });
  });
});

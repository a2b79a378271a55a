import { describe, expect, it } from 'vitest';
import { type HealthMemory, healthy, seeHealth } from '../../../../src/agent/supervision/health.ts';

/** Feeds readings, each as [milliseconds, unhealthy], and returns when what was told changed, and to what. */
function told(readings: readonly (readonly [number, boolean])[], memory: HealthMemory = healthy) {
  const changes: string[] = [];
  let now = memory;
  for (const [ms, unhealthy] of readings) {
    const step = seeHealth(now, unhealthy, ms);
    now = step.memory;
    if (step.changed) {
      changes.push(`${ms} ${step.memory.degraded ? 'degraded' : 'well'}`);
    }
  }
  return changes;
}

describe('health with hysteresis (FAULTS 28)', () => {
  it('tells nothing of a check that fails once and recovers', () => {
    expect(
      told([
        [0, true],
        [5000, false],
        [20_000, false],
      ]),
    ).toEqual([]);
  });

  it('tells degraded once the check has failed for a while, and once only', () => {
    expect(
      told([
        [0, true],
        [9999, true],
        [10_000, true],
        [60_000, true],
      ]),
    ).toEqual(['10000 degraded']);
  });

  it('says when to look again, as nothing else may happen until then', () => {
    expect(seeHealth(healthy, true, 4000).lookAgainMs).toBe(10_000);
    expect(seeHealth({ ...healthy, differsSince: 1000 }, true, 4000).lookAgainMs).toBe(7000);
    expect(seeHealth(healthy, false, 4000).lookAgainMs).toBeNull();
  });

  it('gives one change and no storm where health flips every 20 seconds for an hour', () => {
    const readings = Array.from({ length: 720 }, (_each, index) => [index * 5000, index % 8 < 4] as const);

    expect(told(readings)).toEqual(['10000 degraded']);
  });

  it('believes one that keeps falling only after being well for longer each time', () => {
    const minute = 60_000;
    const once: HealthMemory = { degraded: true, differsSince: null, falls: [0] };
    const often: HealthMemory = { degraded: true, differsSince: null, falls: [0, minute, 2 * minute, 3 * minute] };

    expect(seeHealth(once, false, 4 * minute).lookAgainMs).toBe(30_000);
    expect(seeHealth(often, false, 4 * minute).lookAgainMs).toBe(240_000);
    expect(seeHealth(often, false, 100 * minute).lookAgainMs).toBe(30_000);
  });
});

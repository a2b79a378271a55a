import { describe, expect, it } from 'vitest';
import { instanceStates, mayBecome, moveInstance } from '../../../src/contract/instance-state.ts';

describe('the states of an instance (G-200)', () => {
  it('lead from a request to what runs and to its end', () => {
    const way = ['requested', 'deploying', 'running', 'stopping', 'stopped', 'starting', 'running'] as const;

    expect(way.slice(1).reduce((from, to) => moveInstance(from, to), way[0] as (typeof instanceStates)[number])).toBe(
      'running',
    );
    expect(mayBecome('running', 'decommissioning') && mayBecome('decommissioning', 'decommissioned')).toBe(true);
  });

  it('end with decommissioned, which nothing follows', () => {
    expect(instanceStates.filter((to) => mayBecome('decommissioned', to))).toEqual(['decommissioned']);
  });

  it.each(instanceStates.filter((state) => state !== 'decommissioned'))(
    '%s can always be left for the end',
    (state) => {
      const reached = new Set<(typeof instanceStates)[number]>([state]);
      for (const from of reached) {
        for (const to of instanceStates.filter((each) => mayBecome(from, each))) reached.add(to);
      }

      expect(reached).toContain('decommissioned');
    },
  );

  it('can be reached, each of them, from a request', () => {
    const reached = new Set<(typeof instanceStates)[number]>(['requested']);
    for (const from of reached) {
      for (const to of instanceStates.filter((each) => mayBecome(from, each))) reached.add(to);
    }

    expect([...reached].sort()).toEqual([...instanceStates].sort());
  });

  it('refuse what the table does not know', () => {
    expect(() => moveInstance('stopped', 'running')).toThrow('forbidden instance transition stopped -> running');
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { following, move, type WorkloadState, workloadStates } from '../../../src/contract/workload-state.ts';

/** The transitions, written down a second time and by hand: a change of the table has to be meant twice. */
const legal: Record<WorkloadState, string> = {
  absent: 'pulling creating removing unknown',
  pulling: 'creating failed removing unknown',
  creating: 'starting failed removing unknown',
  starting: 'installing_packages probing running stopping failed removing unknown',
  installing_packages: 'probing running stopping failed removing unknown',
  probing: 'running stopping failed removing unknown',
  running: 'degraded stopping stopped pulling creating probing failed removing unknown',
  degraded: 'running stopping stopped pulling creating failed removing unknown',
  stopping: 'stopped failed removing unknown',
  stopped: 'starting pulling creating failed removing unknown',
  removing: 'removed failed unknown',
  removed: 'pulling creating removing unknown',
  failed: 'pulling creating starting stopping removing unknown',
  unknown: 'absent running degraded stopped failed removing removed pulling creating',
};
const pairs = workloadStates.flatMap((from) => workloadStates.map((to) => [from, to] as const));
const anyState = fc.constantFrom(...workloadStates);

it('G-200: knows the states of the design, and no others', () => {
  expect(workloadStates).toEqual([
    ...['absent', 'pulling', 'creating', 'starting', 'installing_packages', 'probing', 'running', 'degraded'],
    ...['stopping', 'stopped', 'removing', 'removed', 'failed', 'unknown'],
  ]);
});

it.each(pairs)('G-200: from %s to %s goes or throws as the table says', (from, to) => {
  const allowed = from === to || legal[from].split(' ').includes(to);

  if (allowed) {
    expect(move(from, to)).toBe(to);
  } else {
    expect(() => move(from, to)).toThrow(`forbidden workload transition ${from} -> ${to}`);
  }
});

describe('G-200: whatever happens to a workload', () => {
  it('no walk ever gets from one state to another against the table', () => {
    fc.assert(
      fc.property(fc.array(anyState, { maxLength: 30 }), (wishes) => {
        let state: WorkloadState = 'absent';
        for (const wish of wishes) {
          const before = state;
          try {
            state = move(state, wish);
          } catch {
            expect(state).toBe(before);
          }
          expect(state === before || legal[before].split(' ').includes(state)).toBe(true);
        }
      }),
    );
  });

  it('it can always be removed', () => {
    const cannot = workloadStates.filter((state) => !reachable(state).has('removed'));

    expect(cannot).toEqual([]);
  });

  it('it never runs again without being started, and never from removed or failed at once', () => {
    const before = workloadStates.filter((state) => following(state).includes('running'));

    expect(before).toEqual(['starting', 'installing_packages', 'probing', 'degraded', 'unknown']);
  });

  it('it fails from every state in which something is there or being done', () => {
    const cannotFail = workloadStates.filter((state) => !following(state).includes('failed'));

    expect(cannotFail).toEqual(['absent', 'removed', 'failed']);
  });

  it('the engine may go away, and what it then says is believed', () => {
    const cannotBeUnknown = workloadStates.filter((state) => !following(state).includes('unknown'));

    expect(cannotBeUnknown).toEqual(['unknown']);
    expect(following('unknown')).toEqual(
      expect.arrayContaining(['absent', 'running', 'degraded', 'stopped', 'failed', 'removed']),
    );
  });

  it('removed leads to a new launch only', () => {
    expect(following('removed').filter((state) => state !== 'unknown' && state !== 'removing')).toEqual([
      'pulling',
      'creating',
    ]);
  });
});

function reachable(from: WorkloadState): Set<WorkloadState> {
  const found = new Set<WorkloadState>([from]);
  for (const state of found) {
    for (const next of following(state)) {
      found.add(next);
    }
  }
  return found;
}

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Candidate } from '../../../src/agent/dispatch.ts';
import { DrainState } from '../../../src/agent/drain-state.ts';
import { admitUnlessDraining, lifecycleOf } from '../../../src/agent/lifecycle.ts';
import { keptWorkload, keptWorkloads } from '../../support/kept-workloads.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { launchParams } from '../../support/task-bench.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('lifecycle');

function aDrain(): DrainState {
  const stateDir = join(folder, crypto.randomUUID());
  mkdirSync(stateDir);
  return new DrainState(stateDir);
}

const update = () => Promise.reject(new Error('not asked for'));
const [diagnose, rotateKeys] = [update, update];

describe('the life of the agent, as a task may touch it', () => {
  it('tells whoever listens when a drain begins and when it ends, after it is so', () => {
    const drain = aDrain();
    const told: boolean[] = [];
    const clock = manualClock();
    const lifecycle = lifecycleOf({
      ...{ drain, clock, journal: keptWorkloads().journal, tasks: () => 0 },
      onDrain: () => void told.push(drain.current !== null),
      ...{ by: 'host', update, diagnose, rotateKeys },
    });

    lifecycle.beginDrain('a new driver');
    const during = lifecycle.look();
    lifecycle.endDrain();

    expect(during.drainingSince).toBe(new Date(clock.wallMs()).toISOString());
    expect(lifecycle.look().drainingSince).toBeNull();
    expect(told).toEqual([true, false]);
  });

  it('counts the workloads that are to run, also one that does not at the moment, and the tasks', () => {
    const { journal } = keptWorkloads(
      keptWorkload(),
      keptWorkload({ workload_id: 'restarting', state: 'degraded' }),
      keptWorkload({ workload_id: 'stopped', desired: 'stopped', state: 'stopped' }),
    );
    const lifecycle = lifecycleOf({
      ...{ drain: aDrain(), journal, clock: manualClock(), tasks: () => 3, onDrain: () => undefined, by: 'host' },
      ...{ update, diagnose, rotateKeys },
    });

    expect(lifecycle.look()).toEqual({ drainingSince: null, workloads: 2, tasks: 3 });
  });
});

describe('a host that drains', () => {
  const launch: Candidate = { type: 'workload.oci_launch', params: launchParams() };

  it('refuses launches with the reason and since when, and nothing that empties it', () => {
    const drain = aDrain();
    drain.begin('host', 'a new driver', '2026-11-25T12:00:00Z');

    expect(() => admitUnlessDraining(drain, launch)).toThrow(
      expect.objectContaining({
        code: 'agent.draining',
        detail: { reason: 'a new driver', since: '2026-11-25T12:00:00Z' },
      }),
    );
    for (const type of ['workload.oci_control', 'workload.oci_remove', 'agent.drain'] as const) {
      expect(() => admitUnlessDraining(drain, { ...launch, type })).not.toThrow();
    }
  });

  it('takes launches again when it does not any more', () => {
    const drain = aDrain();
    drain.begin('host', 'a new driver', '2026-11-25T12:00:00Z');
    drain.end('host');

    expect(() => admitUnlessDraining(drain, launch)).not.toThrow();
  });
});

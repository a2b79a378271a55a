import { describe, expect, it } from 'vitest';
import type { Candidate } from '../../../src/agent/dispatch.ts';
import { HostPressure } from '../../../src/agent/host-pressure.ts';
import type { RecordBody } from '../../../src/contract/records.ts';
import { createLog } from '../../../src/kit/log.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { identity, launchParams } from '../../support/task-bench.ts';

const gib = 2 ** 30;

function host() {
  const events: RecordBody<'event'>[] = [];
  const changes: number[] = [];
  const world = {
    ...{ freeBytes: 100 * gib, isKnown: true },
    ...{ kept: [] as number[], onRemove: () => undefined as unknown },
  };
  const pressure = new HostPressure({
    ...{ diskReserveBytes: 10 * gib, clock: manualClock(), report: (event) => void events.push(event) },
    disk: async () =>
      world.isKnown ? { totalBytes: 200 * gib, freeBytes: world.freeBytes, freeEntries: 1 } : undefined,
    log: createLog({ level: 'silent' }),
    onChange: () => void changes.push(world.freeBytes / gib),
    makeRoom: async (missing) => {
      for (const bytes of world.kept.splice(0)) {
        world.onRemove();
        if (bytes < 0) throw new Error('the engine is gone');
        world.freeBytes += bytes;
        if ((await missing()) <= 0) return;
      }
    },
  });
  return { world, pressure, changes, types: () => events.map(({ event }) => event.type) };
}

const codeOf = (work: () => void): unknown => {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

const launch = (gpu_count = 0): Candidate => ({
  type: 'workload.oci_launch',
  params: launchParams({ resources: { gpu_count, cpu_cores: 1, memory_gib: 1 } }),
});
const remove: Candidate = {
  type: 'workload.oci_remove',
  params: { identity, keep_data: false, grace_seconds: 0 },
};

describe('a disk that is nearly full (FAULTS 18)', () => {
  it('has launches refused, and nothing that frees room', async () => {
    const { world, pressure } = host();
    world.freeBytes = 9 * gib;

    await pressure.look();

    expect(() => pressure.admit(launch())).toThrow(expect.objectContaining({ code: 'disk.full' }));
    expect(() => pressure.admit(remove)).not.toThrow();
  });

  it('takes away what is kept for later before it refuses anything', async () => {
    const { world, pressure, types } = host();
    world.freeBytes = 9 * gib;
    world.kept = [2 * gib, 2 * gib, 50 * gib];

    await pressure.look();

    expect(world.freeBytes).toBe(13 * gib);
    expect(types()).toEqual([]);
    expect(() => pressure.admit(launch())).not.toThrow();
  });

  it('refuses launches while that is done where it is far below the reserve', async () => {
    const { world, pressure, types } = host();
    const told: unknown[] = [];
    world.onRemove = () => told.push(codeOf(() => pressure.admit(launch())));
    world.freeBytes = 4 * gib;
    world.kept = [2 * gib, 5 * gib, 5 * gib];

    await pressure.look();

    expect(told).toEqual(['disk.full', undefined, undefined]);
    expect(codeOf(() => pressure.admit(launch()))).toBeUndefined();
    expect(types()).toEqual([]);
  });

  it.each([[[]], [[0.5 * gib]], [[-1]]])('refuses launches where that is too little: %j', async (kept) => {
    const { world, pressure, types } = host();
    world.freeBytes = 9 * gib;
    world.kept = kept;

    await pressure.look();

    expect(types()).toEqual(['disk.short']);
    expect(() => pressure.admit(launch())).toThrow(expect.objectContaining({ code: 'disk.full' }));
  });

  it('is what it was while nobody knows more', async () => {
    const { world, pressure, types } = host();
    world.freeBytes = 4 * gib;
    await pressure.look();
    world.isKnown = false;

    await pressure.look();

    expect(() => pressure.admit(launch())).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('4 GiB'),
        detail: expect.objectContaining({ free_bytes: 4 * gib }),
      }),
    );
    expect(types()).toEqual(['disk.short']);
  });

  it('is told of where it has clearly more or less than before, of which it has 200 GiB', async () => {
    const { world, pressure, changes } = host();
    for (const free of [100, 99, 98.5, 97.9, 97, 99.5, 100.1]) {
      world.freeBytes = free * gib;
      await pressure.look();
    }

    expect(changes).toEqual([97.9, 100.1]);
  });

  it('is told of as well where launches are refused from now on, or no longer are', async () => {
    const { world, pressure, changes } = host();
    for (const free of [10.2, 9.9, 12.4, 12.6]) {
      world.freeBytes = free * gib;
      await pressure.look();
      expect(pressure.isShort).toBe(free === 9.9 || free === 12.4);
    }

    expect(changes).toEqual([9.9, 12.4, 12.6]);
  });

  it('is told of as well where it was far below while room was made, as whoever asked meanwhile has heard that none is free', async () => {
    const { world, pressure, changes } = host();
    await pressure.look();
    world.freeBytes = 4 * gib;
    world.kept = [96 * gib];
    world.onRemove = () => expect(pressure.isShort).toBe(true);

    await pressure.look();
    await pressure.look();

    expect(changes).toEqual([100]);
  });

  it('recovers by itself, and gives no storm of events where it hovers around the mark', async () => {
    const { world, pressure, types } = host();
    for (const free of [9, 11, 9, 12, 9.9, 13, 20]) {
      world.freeBytes = free * gib;
      await pressure.look();
    }

    expect(types()).toEqual(['disk.short', 'disk.relieved']);
    expect(() => pressure.admit(launch())).not.toThrow();
  });
});

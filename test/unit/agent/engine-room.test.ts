import { describe, expect, it } from 'vitest';
import { openEngineRoom } from '../../../src/agent/engine-room.ts';
import { createLog } from '../../../src/kit/log.ts';
import { plan } from '../../support/job-plans.ts';

const gib = 2 ** 30;
const revision = (name: string) => name.repeat(64);

/** A host that keeps 2 GiB free, and of each of these revisions so many GiB; `a` is that of the job. */
function host(freeGib: number, kept: Record<string, number>) {
  const world = { free: freeGib * gib, kept: { ...kept }, isAway: false };
  const unlessAway = () => {
    if (world.isAway) throw new Error('the engine is away');
  };
  const room = openEngineRoom({
    diskReserveBytes: 2 * gib,
    disk: async () => {
      unlessAway();
      return { totalBytes: 200 * gib, freeBytes: world.free, freeEntries: 1 };
    },
    kept: {
      makeRoom: async (isEnough, own = new Set()) => {
        unlessAway();
        for (const [name, size] of Object.entries(world.kept)) {
          if (own.has(revision(name))) continue;
          delete world.kept[name];
          world.free += size * gib;
          if (await isEnough()) return;
        }
      },
      bytesOf: async (own) => {
        const sizes = Object.entries(world.kept).filter(([name]) => own.has(revision(name)));
        return sizes.reduce((sum, [, size]) => sum + size * gib, 0);
      },
      evictable: async () => 0,
    },
    log: createLog({ level: 'silent' }),
  });
  const cache = { name: 'data', revision_sha256: revision('a'), class: 'data' as const, seed_from_image: false };
  const begin = (disk_gib?: number) =>
    room.makeFor({ ...plan(), caches: [cache], ...(disk_gib !== undefined && { disk_gib }) });
  return { world, room, begin, left: () => Object.keys(world.kept).join('') };
}

describe('the disk that a job is to have', () => {
  it.each([
    ['is there beside the reserve: nothing goes', 42, { b: 10 }, 40, 'b'],
    ['is made of what nothing uses, until it is enough', 5, { b: 30, c: 10, d: 10 }, 40, 'd'],
    ['is what is kept of its own revision as well, which stays', 12, { a: 30, b: 10 }, 40, 'ab'],
    ['is made of what is not its own', 8, { a: 30, b: 10 }, 40, 'a'],
    ['is whatever there is where it does not say', 0, { b: 10 }, undefined, 'b'],
  ])('%s', async (_what, free, kept, asked, left) => {
    const { begin, left: leftOf } = host(free, kept);

    await begin(asked);

    expect(leftOf()).toBe(left);
  });

  it('is refused where all that may go is too little, and its own stays', async () => {
    const { begin, left } = host(7, { a: 10, b: 10 });

    await expect(begin(40)).rejects.toMatchObject({
      code: 'disk.full',
      message: expect.stringContaining('has 15 GiB for it, and the job needs 30.'),
      detail: { free_bytes: 17 * gib, needed_bytes: 32 * gib },
    });
    expect(left()).toBe('a');
  });

  it('is not asked for of an engine that is away: what comes next waits for it', async () => {
    const { begin, world } = host(7, { b: 10 });
    world.isAway = true;

    await begin(40);
  });
});

it('room for a build or a pull is made until that is enough', async () => {
  const { room, left } = host(1, { b: 1, c: 1, d: 1 });

  await room.make(3 * gib);

  expect(left()).toBe('d');
});

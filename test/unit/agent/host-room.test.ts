import { describe, expect, it } from 'vitest';
import { HostRoom } from '../../../src/agent/host-room.ts';
import type { KeptThing, RoomWanted } from '../../../src/agent/kept-for-later.ts';
import { keyOfThing, neededBy } from '../../../src/agent/promised-disk.ts';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import type { JobState } from '../../../src/contract/job-state.ts';
import type { KeptJob } from '../../../src/jobs/job-record.ts';
import { createLog } from '../../../src/kit/log.ts';
import { plan } from '../../support/job-plans.ts';

const gib = 2 ** 30;
const revision = (name: string) => name.repeat(64);
const never = AbortSignal.timeout(60_000);

/** A host that keeps 2 GiB free, and of each of these revisions so many GiB; jobs are of `a`. */
function host(freeGib: number, kept: Record<string, number> = {}) {
  const world = {
    ...{ free: freeGib * gib, kept: { ...kept }, isAway: false, isShort: false, unused: 0, measured: 0, changes: 0 },
    ...{ jobs: [] as Pick<KeptJob, 'plan' | 'record'>[], written: {} as Record<string, number> },
  };
  const unlessAway = () => {
    if (world.isAway) throw new Error('the engine is away');
  };
  const things = () =>
    Object.entries(world.kept).map(([name, size]): KeptThing => {
      const cache = { name, volume: name, class: 'data' as const, max_bytes: null, in_use: false, used_at: null };
      const of = { project_id: plan().identity.project_id, revision_sha256: revision(name) };
      return { kind: 'cache', ...cache, ...of, bytes: size * gib };
    });
  const makeRoom = async ({ missing, own = new Set(), isAllOrNothing = false, used }: RoomWanted) => {
    unlessAway();
    const stays = own.union(neededBy(world.jobs));
    const free = things().filter((each) => !stays.has(keyOfThing(each)));
    const said = free.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
    const all = Math.min(said, (await used?.()) ?? Number.POSITIVE_INFINITY);
    if (isAllOrNothing && all < (await missing())) return;
    for (const { kind, bytes, ...each } of free) {
      if ((await missing()) <= 0) return;
      if ('name' in each) delete world.kept[each.name];
      world.free += bytes ?? 0;
    }
  };
  const look = async ({ measure }: { readonly measure: boolean }) => {
    unlessAway();
    if (measure) world.measured += 1;
    return { kept: things(), unusedBytes: world.unused * gib, jobs: measure ? world.written : {} };
  };
  const open = () =>
    new HostRoom({
      diskReserveBytes: 2 * gib,
      disk: async () => {
        unlessAway();
        return { totalBytes: 200 * gib, freeBytes: world.free, freeEntries: 1 };
      },
      kept: { makeRoom, look, measure: async () => undefined },
      jobs: { all: () => world.jobs },
      isShort: () => world.isShort,
      log: createLog({ level: 'silent' }),
      onChange: () => {
        world.changes += 1;
      },
    });
  const room = open();
  const cache = { name: 'data', revision_sha256: revision('a'), class: 'data' as const, seed_from_image: false };
  const begin = async (disk_gib?: number, job_id = 'job-1', { signal = never, isOf = 'a' } = {}) => {
    const identity = { ...plan().identity, job_id };
    const caches = [{ ...cache, revision_sha256: revision(isOf) }];
    const its: JobPlan = { ...plan(), identity, caches, ...(disk_gib !== undefined && { disk_gib }) };
    await room.begin(its, signal, () => void world.jobs.push({ plan: its, record: recordIn('running') }));
  };
  /** So much of it in its own volumes. */
  const write = (job: string, size: number) => {
    world.written[job] = (world.written[job] ?? 0) + size * gib;
    world.free -= size * gib;
  };
  const end = (job: string) => {
    world.jobs = world.jobs.map((each) =>
      each.plan.identity.job_id === job ? { ...each, record: recordIn('succeeded') } : each,
    );
  };
  const held = async (of = room) =>
    Object.fromEntries([...(await of.look(never)).held].map(([job, bytes]) => [job, bytes / gib]));
  return { world, room, open, begin, write, end, held, left: () => Object.keys(world.kept).join('') };
}

const recordIn = (state: JobState) => ({ state }) as KeptJob['record'];

describe('the disk that a job is to have', () => {
  it.each([
    ['is there beside the reserve: nothing goes', 42, { b: 10 }, 40, 'b'],
    ['is made of what nothing uses, until it is enough', 5, { b: 30, c: 10, d: 10 }, 40, 'd'],
    ['is what is kept of its own revision as well, which stays', 12, { a: 30, b: 10 }, 40, 'ab'],
    ['is made of what is not its own', 8, { a: 30, b: 10 }, 40, 'a'],
    ['is whatever there is where it does not say', 0, { b: 10 }, undefined, 'b'],
  ])('%s', async (_what, free, kept, asked, left) => {
    const { begin, left: leftOf, world } = host(free, kept);

    await begin(asked);

    expect([leftOf(), world.jobs.length, world.changes]).toEqual([left, 1, 0]);
  });

  it('is refused where all that may go is too little: it stays, and the host is looked at anew', async () => {
    const { begin, left, world } = host(7, { a: 10, b: 10 });

    await expect(begin(40)).rejects.toMatchObject({
      code: 'disk.full',
      message: expect.stringContaining(
        'has 5 GiB for it, and the job needs 30. What may go, 10 GiB, would be too little',
      ),
      detail: { free_bytes: 7 * gib, needed_bytes: 32 * gib, held_bytes: 0 },
    });
    expect([left(), world.jobs.length, world.changes]).toEqual(['ab', 0, 1]);
  });

  it('is not asked for of an engine that is away: what comes next waits for it', async () => {
    const { begin, world } = host(7, { b: 10 });
    world.isAway = true;

    await begin(40);
  });

  it('is not waited for by a job that is cancelled, for which nothing goes', async () => {
    const { begin, left, world } = host(7, { b: 40 });

    await begin(40, 'job-1', { signal: AbortSignal.abort() });

    expect([left(), world.jobs.length]).toEqual(['b', 1]);
  });
});

describe('the disk that a job was promised', () => {
  it('is held from its begin on, also where another one begins at the same time', async () => {
    const { begin, held } = host(152);

    const begun = await Promise.allSettled([begin(100, 'one'), begin(100, 'two'), begin(50, 'three')]);

    expect(begun.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await held()).toEqual({ one: 100, three: 50 });
  });

  it('is less by what it has written, and by what is there of its revision', async () => {
    const { begin, write, world } = host(152);
    await begin(100, 'one', { isOf: 'b' });
    write('one', 60);
    world.kept['b'] = 20;
    world.free -= 20 * gib;

    const refused = begin(60, 'two');
    await expect(refused).rejects.toMatchObject({
      message: expect.stringContaining('has 50 GiB for it, and the job needs 60. 20 GiB are held'),
    });
    await begin(50, 'three');

    expect(world.measured).toBe(2);
  });

  it('is made room for of what may go, and never of what it is of', async () => {
    const { begin, left, world } = host(62);
    await begin(60, 'one', { isOf: 'b' });
    world.kept = { b: 5, c: 20 };

    await begin(20, 'two');

    expect([left(), world.free / gib]).toEqual(['b', 82]);
  });

  it('is told beside whether the host launches anything', async () => {
    const { room, world } = host(78);
    expect(await room.look(never)).toMatchObject({ isShort: false });
    world.isShort = true;

    expect(await room.look(never)).toMatchObject({ isShort: true });
  });

  it('is told beside what would make room: layers that nothing needs as well', async () => {
    const { room, world } = host(78, { b: 5 });
    world.unused = 3;

    expect(await room.look(never)).toMatchObject({ evictable: 8 * gib });
  });

  it('is told without what is there of its revision, from its begin on and in another life of the agent', async () => {
    const { begin, held, open } = host(78, { a: 120 });

    await begin(130, 'one');

    expect([await held(), await held(open())]).toEqual([{ one: 10 }, { one: 10 }]);
  });

  it('is measured once of each, also where the disk has moved no more', async () => {
    const { begin, write, held, room, world } = host(200);
    await begin(50, 'one');
    await room.measure();
    await begin(50, 'two');
    write('two', 20);
    world.free += 20 * gib;

    for (let times = 0; times < 2; times += 1) await room.measure();

    expect([await held(), world.measured]).toEqual([{ one: 50, two: 30 }, 2]);
  });

  it('is all of it for an attempt after the first: what that had written is gone', async () => {
    const { begin, write, end, held, room } = host(200);
    await begin(50, 'one');
    write('one', 20);
    await room.measure();
    end('one');

    await begin(60, 'one');

    expect(await held()).toEqual({ one: 60 });
  });

  it('is nothing where all that it asks for is there: it begins also where others hold more than is free', async () => {
    const { begin, held, world } = host(102, { a: 46 });
    await begin(100, 'one', { isOf: 'b' });
    world.free = 30 * gib;

    await begin(46, 'two');

    expect(await held()).toEqual({ one: 100, two: 0 });
    await expect(begin(47, 'three')).rejects.toMatchObject({ code: 'disk.full' });
  });

  it('is free once it has ended', async () => {
    const { begin, end, held } = host(102);
    await begin(100, 'one');
    end('one');

    await begin(100, 'two');

    expect(await held()).toEqual({ two: 100 });
  });

  it('is told by what was last measured, which is done where the disk has clearly less; another life of the agent begins with all of it', async () => {
    const { begin, write, held, room, open, world } = host(102);
    await begin(100, 'one');
    await room.measure();
    await room.measure();
    expect([await held(), world.measured, world.changes]).toEqual([{ one: 100 }, 1, 1]);
    write('one', 30);
    await room.measure();

    expect([await held(), world.measured, world.changes]).toEqual([{ one: 70 }, 2, 2]);
    expect(await held(open())).toEqual({ one: 100 });
  });
});

it('nothing goes for more than the disk has: files of holes are shorter than they say', async () => {
  const { begin, left } = host(150, { b: 30, c: 1000 });

  const trouble = await begin(300).catch((error: unknown) => error);

  expect(trouble).toMatchObject({ code: 'disk.full' });
  expect(left()).toBe('bc');
});

it('room for a build or a pull is made until that is enough', async () => {
  const { room, left } = host(1, { b: 1, c: 1, d: 1 });

  await room.make(3 * gib, never);

  expect(left()).toBe('d');
});

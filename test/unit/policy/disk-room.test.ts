/** Both who begin jobs and who place them: a job is given to a host where that would begin it, and nowhere else. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { HostRoom } from '../../../src/agent/host-room.ts';
import { KeptForLater, type SharedServices } from '../../../src/agent/kept-for-later.ts';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import type { KeptJob } from '../../../src/jobs/job-record.ts';
import { createLog } from '../../../src/kit/log.ts';
import { beyondReserve } from '../../../src/policy/disk-room.ts';
import type { BuiltSummary, CacheSummary } from '../../../src/runtime/engine.ts';
import { diskFor } from '../../../src/server/jobs/held-disk.ts';
import { diskOf } from '../../../src/server/jobs/job-hosts.ts';
import { plan } from '../../support/job-plans.ts';
import { manualClock } from '../../support/manual-clock.ts';

const gib = 2 ** 30;
const never = AbortSignal.timeout(60_000);
const log = createLog({ level: 'silent' });
const nothing = (): void => undefined;

interface Job {
  readonly id: string;
  readonly asks: number;
  /** Revision of a project, as `project/revision`. */
  readonly of: string;
  readonly written: number;
  /** Whether its host has told of it. */
  readonly isTold: boolean;
}

interface Kept {
  readonly of: string;
  readonly size: number;
  /** Of an image, what only that has. */
  readonly own: number | null;
  /** Services by themselves: no job uses them. */
  readonly use: 'none' | 'job' | 'services';
}

interface World {
  readonly free: number;
  /** Layers that no image is made of. */
  readonly unused: number;
  readonly reserve: number;
  readonly kept: readonly Kept[];
  readonly jobs: readonly Job[];
}

const of = fc.constantFrom('p/a', 'p/b', 'p/c', 'other/x');
const size = fc.integer({ min: 0, max: 60 });
const jobs = fc
  .array(fc.record({ of, asks: size, written: fc.integer({ min: 0, max: 20 }), isTold: fc.boolean() }), {
    maxLength: 3,
  })
  .map((all) => all.map((each, index): Job => ({ ...each, id: `job-${index}` })));
const use = fc.constantFrom('none' as const, 'job' as const, 'services' as const);
const kept = fc.record({ of, size, own: fc.option(fc.integer({ min: 0, max: 10 })), use });
const worlds: fc.Arbitrary<World> = fc.record({
  ...{
    free: fc.integer({ min: 0, max: 120 }),
    unused: fc.integer({ min: 0, max: 20 }),
    reserve: fc.integer({ min: 0, max: 20 }),
  },
  ...{ kept: fc.array(kept, { maxLength: 6 }), jobs },
});

const partsOf = (key: string) => {
  const [project_id = '', name = ''] = key.split('/');
  return { project_id, revision_sha256: name.repeat(64) };
};

function planOf({ id, asks, of: key }: Pick<Job, 'id' | 'asks' | 'of'>): JobPlan {
  const { project_id, revision_sha256 } = partsOf(key);
  const caches = [{ name: 'data', revision_sha256, class: 'data' as const, seed_from_image: false }];
  return { ...plan(), identity: { ...plan().identity, job_id: id, project_id }, caches, disk_gib: asks };
}

/** The engine of a host, whose disk has so much more as is taken away. */
function engineOf({ free, unused, kept: all, jobs: atWork }: World) {
  const disk = { free: free * gib, unused: unused * gib };
  const left = new Set(all);
  const ended = new Set<string>();
  const groupOf = ({ of: key }: Kept) => `svc-${key}`;
  const isInUse = (each: Kept) => each.use === 'job' || (each.use === 'services' && !ended.has(groupOf(each)));
  const about = (each: Kept) => ({
    ...{ ...partsOf(each.of), in_use: isInUse(each), used_at: '2026-11-25T10:00:00Z' },
    ...(isInUse(each) && each.use === 'services' && { held_by: [groupOf(each)] }),
  });
  const caches = (isMeasured: boolean) =>
    [...left].flatMap((each): CacheSummary[] => {
      if (each.own !== null) return [];
      const bytes = each.size * gib;
      const size = { bytes: isInUse(each) && !isMeasured ? null : bytes, last_bytes: bytes, max_bytes: null };
      return [{ ...about(each), ...size, volume: `v-${all.indexOf(each)}`, name: 'data', class: 'data' }];
    });
  const images = () =>
    [...left].flatMap((each): BuiltSummary[] => {
      if (each.own === null) return [];
      const bytes = { bytes: (each.size + each.own) * gib, own_bytes: each.own * gib };
      return [{ ...about(each), ...bytes, key: `${all.indexOf(each)}`, image_id: 'sha256:0' }];
    });
  const remove = (index: number) => {
    const each = all[index];
    if (!each || isInUse(each)) return false;
    disk.free += (each.own ?? each.size) * gib;
    return left.delete(each);
  };
  const engine = {
    caches: async ({ measure }: { measure: boolean }) => caches(measure),
    builds: async () => ({ images: images(), unusedBytes: disk.unused }),
    measureDisk: async () => ({
      caches: caches(true),
      jobs: Object.fromEntries(atWork.map(({ id, written }) => [id, written * gib])),
    }),
    removeCache: async (volume: string) => remove(Number(volume.slice(2))),
    removeBuilt: async ({ key }: { key: string }) => remove(Number(key)),
    removeLayers: async () => {
      const bytes = disk.unused;
      disk.free += bytes;
      disk.unused = 0;
      return { layers: bytes > 0 ? 1 : 0, bytes };
    },
  };
  const services: SharedServices = {
    idleSince: (id) => (id.startsWith('svc-') ? 0 : undefined),
    giveWay: async (id) => {
      ended.add(id);
      return 'ended';
    },
  };
  return { disk, engine, services };
}

function hostOf(world: World) {
  const { disk, engine, services } = engineOf(world);
  const records = world.jobs.map((job) => ({ plan: planOf(job), record: { state: 'running' } as KeptJob['record'] }));
  const all = { all: () => records };
  const clock = { ...manualClock(0), pause: async () => undefined };
  const keeper = new KeptForLater({
    ...{ engine, services, jobs: all, maxAgeHours: undefined, clock, log, report: nothing, onChange: nothing },
  });
  const room = new HostRoom({
    diskReserveBytes: world.reserve * gib,
    disk: async () => ({ totalBytes: 1000 * gib, freeBytes: disk.free, freeEntries: 1 }),
    ...{ kept: keeper, jobs: all, isShort: () => false, log, onChange: nothing },
  });
  return { room, keeper };
}

/** What the host has said, as it is read where jobs are placed. */
async function placesOn(world: World, { room, keeper }: ReturnType<typeof hostOf>) {
  await room.measure();
  const { evictable, held } = await room.look(never);
  const has = beyondReserve({ free: world.free, evictable: evictable / gib, reserve: world.reserve });
  const told = [...held].filter(([id]) => world.jobs.find((job) => job.id === id)?.isTold);
  const disk_gib = { ...has, held: Object.fromEntries(told.map(([id, bytes]) => [id, bytes / gib])) };
  const items = await keeper.items({ measure: false });
  const inventory = { kept: items, runtime: { resources: { disk_gib } } };
  const claims = world.jobs.map(({ id, asks, of: key }) => ({
    ...{ job: id, gib: asks, revision: partsOf(key).revision_sha256 },
  }));
  return { ...diskOf({ runtime: null, inventory } as never, 'p'), claims };
}

it('a job is given to a host exactly where that begins it, once that has told of all jobs, and before that nowhere else', async () => {
  await fc.assert(
    fc.asyncProperty(
      worlds,
      size,
      of.filter((key) => key.startsWith('p/')),
      async (world, asks, key) => {
        const host = hostOf(world);
        const places = await placesOn(world, host);
        const fits = asks <= diskFor(places, partsOf(key).revision_sha256);
        // Below its reserve a host refuses it before that.
        const launches = places.now > 0 || asks === 0;

        const begins = await host.room
          .begin(planOf({ id: 'new', asks, of: key }), never, () => launches)
          .catch(() => false);

        if (world.jobs.every(({ isTold }) => isTold)) expect(begins).toBe(fits);
        else expect(begins || !fits).toBe(true);
      },
    ),
    { numRuns: 500 },
  );
});

import { describe, expect, it } from 'vitest';
import {
  KeptForLater,
  type KeptThing,
  leastRecentlyUsed,
  type RoomWanted,
  roomIn,
  roomOf,
} from '../../../src/agent/kept-for-later.ts';
import { bytesFor, revisionKey } from '../../../src/agent/promised-disk.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import type { RecordBody } from '../../../src/contract/records.ts';
import { createLog } from '../../../src/kit/log.ts';
import { payloadKey } from '../../../src/policy/choose-payload.ts';
import type { BuiltSummary, CacheSummary } from '../../../src/runtime/engine.ts';
import { plan } from '../../support/job-plans.ts';
import { manualClock } from '../../support/manual-clock.ts';

const revision = (name: string) => name.repeat(64).slice(0, 64);
const at = (hour: number) => `2026-11-25T${String(hour).padStart(2, '0')}:00:00Z`;

function cache(name: string, used_at: string | null, over: Partial<CacheSummary> = {}): CacheSummary {
  return {
    ...{ volume: `gpuaas-cache.${'0'.repeat(24)}.${name}`, name, class: 'model', project_id: 'project-1' },
    ...{ revision_sha256: revision(name), used_at, bytes: 5, max_bytes: null, in_use: false, ...over },
  };
}

function image(name: string, used_at: string, over: Partial<BuiltSummary> = {}): BuiltSummary {
  return {
    ...{ project_id: 'project-1', key: revision(name), revision_sha256: revision(name) },
    ...{ image_id: `sha256:${revision(name)}`, bytes: 7, used_at, in_use: false, ...over },
  };
}

const nameOf = (each: KeptThing) => (each.kind === 'cache' ? each.name : `image ${each.revision_sha256[0]}`);

describe('what may go of what is kept of projects', () => {
  const kept = [
    { kind: 'cache' as const, ...cache('c', at(3)) },
    { kind: 'image' as const, ...image('b', at(2)) },
    { kind: 'cache' as const, ...cache('a', at(1)) },
    { kind: 'cache' as const, ...cache('f', null) },
  ];
  const order = (things: readonly KeptThing[], needed: readonly string[] = []) =>
    leastRecentlyUsed(things, new Set(needed.map((name) => revisionKey('project-1', revision(name))))).map(nameOf);

  it('is caches and images alike, what was not used for the longest first, and what nobody remembers before all', () => {
    expect(order(kept)).toEqual(['f', 'a', 'image b', 'c']);
  });

  it('is nothing that a container has, and nothing of a revision that a job is of', () => {
    expect(order(kept.map((each) => ({ ...each, in_use: each.used_at === at(1) })))).toEqual(['f', 'image b', 'c']);
    expect(order(kept, ['b', 'f'])).toEqual(['a', 'c']);
    expect(order(kept, ['a', 'b', 'c', 'f'])).toEqual([]);
  });
});

interface HostOptions {
  readonly maxAgeHours?: number;
  readonly live?: readonly string[];
  /** When layers were made that no image needs. */
  readonly layers?: readonly string[];
}

function host({ maxAgeHours, live = [], layers: made = [] }: HostOptions = {}) {
  const caches = [cache('c', at(3)), cache('a', at(1))];
  const images = [image('b', at(2))];
  let layers = [...made];
  let measured = 0;
  /** What measuring finds of those that are not known. */
  const sizes = new Map<string, number>();
  let changes = 0;
  const held = new Set<string>();
  /** Services by when the last job left them; what is ended has nothing any more. */
  const groups = new Map<string, number>();
  const busy = new Set<string>(['job-1']);
  const ended: string[] = [];
  const world = { atEnd: (): void => undefined };
  const giveWay = async (id: string) => {
    if (!groups.has(id)) return 'gone';
    if (broken.has(id)) throw new AgentError('name.conflict');
    groups.delete(id);
    ended.push(id);
    world.atEnd();
    for (const list of [caches, images] as { in_use: boolean; held_by?: readonly string[] }[][]) {
      for (const [index, each] of list.entries()) {
        const holders = each.held_by?.filter((holder) => holder !== id) ?? [];
        if (each.held_by) list[index] = { ...each, held_by: holders, in_use: holders.length > 0 };
      }
    }
    return 'ended';
  };
  const broken = new Set<string>();
  const now = [...live];
  const events: RecordBody<'event'>[] = [];
  let freed = 0;
  const take = (
    list: {
      readonly used_at: string | null;
      readonly bytes: number | null;
      last_bytes?: number | null;
      readonly in_use: boolean;
    }[],
    found: number,
    code: 'cache.in_use' | 'image.in_use',
  ) => {
    const [each] = list.slice(found, found + 1);
    if (each && (each.in_use || held.has(each.used_at ?? ''))) throw new AgentError(code);
    if (each && broken.has(each.used_at ?? '')) throw new AgentError('engine.failed');
    freed += each?.bytes ?? each?.last_bytes ?? 0;
    return list.splice(found, 1).length > 0;
  };
  const clock = manualClock(Date.parse(at(4)));
  const keeper = new KeptForLater({
    engine: {
      caches: async ({ measure }) => {
        if (measure && broken.has('measuring')) throw new AgentError('engine.timed_out');
        if (measure) measured += 1;
        return [...caches];
      },
      measureDisk: async () => {
        measured += 1;
        return {
          caches: caches.map((each) => ({ ...each, bytes: each.bytes ?? sizes.get(each.name) ?? null })),
          jobs: {},
        };
      },
      builds: async () => ({ images: [...images], unusedBytes: 3 * layers.length }),
      removeCache: async (volume) =>
        take(
          caches,
          caches.findIndex((each) => each.volume === volume),
          'cache.in_use',
        ),
      removeBuilt: async ({ key }) =>
        take(
          images,
          images.findIndex((each) => each.key === key),
          'image.in_use',
        ),
      removeLayers: async ({ untilMs = Number.POSITIVE_INFINITY }) => {
        if (broken.has('layers')) throw new AgentError('engine.failed');
        const before = layers.length;
        layers = layers.filter((each) => Date.parse(each) > untilMs);
        freed += 3 * (before - layers.length);
        return { layers: before - layers.length, bytes: 3 * (before - layers.length) };
      },
    },
    jobs: { all: () => now.map((name) => jobOf(name)) as never },
    services: { idleSince: (id) => (busy.has(id) ? undefined : (groups.get(id) ?? 0)), giveWay },
    ...{ maxAgeHours, clock, log: createLog({ level: 'silent' }) },
    report: (event) => void events.push(event),
    onChange: () => {
      changes += 1;
    },
  });
  const left = () => [
    ...caches.map(({ name }) => name),
    ...images.map(({ key }) => `image ${key[0]}`),
    ...layers.map((each) => `layer ${each}`),
  ];
  return {
    keeper,
    /** Until so many bytes are gone. */
    makeRoom: async (bytes: number, over: Partial<RoomWanted> = {}) =>
      await keeper.makeRoom({ missing: async () => bytes - freed, reason: 'disk_short', ...over }),
    clock,
    sizes,
    changes: () => changes,
    left,
    caches,
    images,
    measured: () => measured,
    held,
    groups,
    busy,
    ended,
    world,
    broken,
    now,
    told: () => events.map(({ event }) => [event.type, event.values['reason']]),
    events,
  };
}

function jobOf(name: string) {
  const caches = [{ name, revision_sha256: revision(name), class: 'pip' as const, seed_from_image: false }];
  const { identity, ...rest } = plan();
  return {
    plan: { ...rest, identity: { ...identity, project_id: 'project-1' }, caches },
    record: { state: 'running' },
  };
}

describe('making room', () => {
  it('takes what is oldest until there is enough, and says what went and why', async () => {
    const { makeRoom, left, events } = host();

    await makeRoom(6);

    expect(left()).toEqual(['c']);
    expect(events.map(({ event: { type, values } }) => ({ type, values }))).toEqual([
      {
        type: 'cache.removed',
        values: {
          ...{ project_id: 'project-1', revision_sha256: revision('a'), bytes: 5, used_at: at(1) },
          ...{ reason: 'disk_short', cache: 'a' },
        },
      },
      {
        type: 'image.removed',
        values: {
          ...{ project_id: 'project-1', revision_sha256: revision('b'), bytes: 7, used_at: at(2) },
          ...{ reason: 'disk_short', image_id: `sha256:${revision('b')}` },
        },
      },
    ]);
  });

  it('takes layers that no image needs before all that a job could want', async () => {
    const { makeRoom, left, events } = host({ layers: [at(1), at(3)] });

    await makeRoom(6);

    expect(left()).toEqual(['c', 'a', 'image b']);
    expect(events.map(({ event: { type, values } }) => ({ type, values }))).toEqual([
      { type: 'layers.removed', values: { count: 2, bytes: 6, reason: 'disk_short' } },
    ]);
  });

  it('leaves what a job of this host is of, also while it has no container, and goes on behind what is just taken', async () => {
    const { makeRoom, left, held } = host({ live: ['a'] });
    held.add(at(2));

    await makeRoom(100);

    expect(left()).toEqual(['a', 'image b']);
  });
});

describe('layers that no image needs', () => {
  it('count as room, and are told where there are more of them', async () => {
    const { keeper, changes, makeRoom } = host({ layers: [at(1), at(3)] });
    const room = async () => roomIn(await keeper.look({ measure: false }), new Set());

    expect(await room()).toBe(6 + 2 * 5);
    for (let times = 0; times < 2; times += 1) await keeper.measure();
    expect(changes()).toBe(1);
    await makeRoom(6);

    expect([await room(), changes()]).toEqual([2 * 5, 2]);
  });
});

describe('making room for somebody', () => {
  it('leaves what is theirs, and takes nothing where there is enough by then', async () => {
    const { makeRoom, left } = host();

    await Promise.all([makeRoom(0), makeRoom(100, { own: new Set([revisionKey('project-1', revision('a'))]) })]);

    expect(left()).toEqual(['a']);
  });

  it('takes nothing where all that may go would be too little, nor for somebody who has gone', async () => {
    const { makeRoom, left, told } = host({ live: ['c'] });
    await makeRoom(13, { isAllOrNothing: true });
    await makeRoom(100, { signal: AbortSignal.abort() });
    expect(left()).toEqual(['c', 'a', 'image b']);

    await makeRoom(4, { isAllOrNothing: true, reason: 'wanted' });

    expect(left()).toEqual(['c', 'image b']);
    expect(told()).toEqual([['cache.removed', 'wanted']]);
  });

  it('goes on with nothing more once they have gone', async () => {
    const { keeper, left } = host();
    const gone = new AbortController();
    const missing = async () => {
      if (left().length < 3) gone.abort();
      return 100;
    };

    await keeper.makeRoom({ missing, reason: 'wanted', signal: gone.signal });

    expect(left()).toEqual(['c', 'image b']);
  });

  it('stops where a cache gives back less than it was told to hold, and what is left would be too little', async () => {
    const { keeper, left, clock } = host();
    const gives: Record<number, number> = { 3: 10, 2: 9 };
    const missing = async () => gives[left().length] ?? 100;

    const making = keeper.makeRoom({ missing, reason: 'wanted', isAllOrNothing: true });
    await clock.advance(1000);
    await making;

    expect(left()).toEqual(['c', 'image b']);
  });

  it('takes nothing for more than the disk has at all, and first what is said to be larger than that, which may be holes', async () => {
    const { keeper, left, clock, caches } = host();
    const hole = cache('h', at(4), { bytes: 1000 });
    caches.push(hole);
    const used = async () => 20;
    // The hole gives nothing: what is left then is too little for the second, and enough for the third.
    const making = async (bytes: number) => {
      const work = keeper.makeRoom({ missing: async () => bytes, reason: 'wanted', isAllOrNothing: true, used });
      await clock.advance(1000);
      await work;
    };

    await making(21);
    expect(left()).toEqual(['c', 'a', 'h', 'image b']);
    await making(18);
    expect(left()).toEqual(['c', 'a', 'image b']);
  });
});

describe('what services have that no job uses', () => {
  const by = (...held_by: readonly string[]) => ({ in_use: true, held_by });
  const busy = (bytes: number, ...groups: readonly string[]) => ({ ...by(...groups), bytes: null, last_bytes: bytes });
  const withServices = (options: HostOptions = {}) => {
    const of = host(options);
    of.caches.splice(0, 2, cache('a', at(1), busy(5, 'svc-1')), cache('c', at(3)), cache('d', at(1), busy(5, 'svc-2')));
    of.images.splice(
      0,
      1,
      image('b', at(2), { ...by('svc-1'), own_bytes: 7 }),
      image('e', at(1), { ...by('svc-1', 'svc-2'), own_bytes: 7 }),
    );
    of.groups.set('svc-1', Date.parse(at(5))).set('svc-2', Date.parse(at(4)));
    return of;
  };
  const room = async ({ keeper }: ReturnType<typeof host>, needed: readonly string[] = []) => {
    const keys = new Set(needed.map((name) => revisionKey('project-1', revision(name))));
    const { kept } = await keeper.look({ measure: false });
    return leastRecentlyUsed(kept, keys).map((each) => [nameOf(each), roomOf(each)]);
  };

  it('counts as room, as last used when the last job left them', async () => {
    const of = withServices();

    expect(await room(of)).toEqual([
      ['c', 5],
      ['d', 5],
      ['a', 5],
      ['image b', 7],
      ['image e', 7],
    ]);
    expect(await room(of, ['a', 'b'])).toEqual([
      ['c', 5],
      ['d', 5],
      ['image e', 7],
    ]);
    expect((await of.keeper.items({ measure: false })).map(({ in_use }) => in_use)).not.toContain(true);
  });

  it('is no room where a job uses one of them, or something else has it as well', async () => {
    const of = withServices();
    of.busy.add('svc-2');
    of.caches.push(cache('f', at(1), { in_use: true }), cache('g', at(1), by('svc-1', 'job-1')));

    expect((await room(of)).map(([name]) => name)).toEqual(['c', 'a', 'image b']);
    const inUse = (await of.keeper.items({ measure: false })).filter(({ in_use }) => in_use);
    expect(inUse.map(({ revision_sha256: [name] }) => name)).toEqual(['d', 'f', 'g', 'e']);
  });

  it('makes room: they are ended when it has its turn, those that were idle for the longest first, and no more than have to be', async () => {
    const of = withServices();

    await of.makeRoom(5);
    expect([of.left(), of.ended]).toEqual([['a', 'd', 'image b', 'image e'], []]);
    await of.makeRoom(10);
    expect([of.left(), of.ended]).toEqual([['a', 'image b', 'image e'], ['svc-2']]);
    await of.makeRoom(100);

    expect([of.left(), of.ended]).toEqual([[], ['svc-2', 'svc-1']]);
    expect(
      of.events.map(({ event: { type, values } }) => [type, values['group'] ?? values['revision_sha256']]),
    ).toEqual([
      ['cache.removed', revision('c')],
      ['services.ended', 'svc-2'],
      ['cache.removed', revision('d')],
      ['services.ended', 'svc-1'],
      ['cache.removed', revision('a')],
      ['image.removed', revision('b')],
      ['image.removed', revision('e')],
    ]);
  });

  it('stays, and they as well, where all that may go would be too little', async () => {
    const of = withServices();

    await of.makeRoom(30, { isAllOrNothing: true });
    expect([of.left().length, of.ended]).toEqual([5, []]);
    await of.makeRoom(22, { isAllOrNothing: true });

    expect(of.ended).toEqual(['svc-2', 'svc-1']);
  });

  it('stays where they cannot be ended, and keeps nothing else', async () => {
    const of = withServices();
    of.broken.add('svc-1');

    await of.makeRoom(100);

    expect([of.left(), of.ended]).toEqual([['a', 'image b', 'image e'], ['svc-2']]);
  });

  it('stays where a job has begun that uses them while they were being ended, or before', async () => {
    const of = withServices();
    of.world.atEnd = () => {
      of.now.push('d');
      of.busy.add('svc-1');
    };

    await of.makeRoom(100);

    expect([of.left(), of.ended]).toEqual([['a', 'd', 'image b', 'image e'], ['svc-2']]);
  });

  it('is measured once for each time that they became idle, and told then', async () => {
    const of = withServices();
    for (let times = 0; times < 2; times += 1) await of.keeper.measure();
    expect([of.measured(), of.changes()]).toEqual([1, 1]);
    of.groups.set('svc-1', Date.parse(at(6)));
    for (let times = 0; times < 2; times += 1) await of.keeper.measure();

    expect([of.measured(), of.changes()]).toEqual([2, 2]);
  });

  it('goes for an operator who asks for it', async () => {
    const of = withServices();
    const wanted = (await of.keeper.items({ measure: false })).find(({ name }) => name === 'a');

    expect(await of.keeper.removeAsked(wanted?.id)).toBe(true);

    expect([of.left(), of.ended]).toEqual([['c', 'd', 'image b', 'image e'], ['svc-1']]);
  });
});

describe('what is kept', () => {
  it('counts as room where it may go: of a cache as far as it was measured, of an image what is its own', async () => {
    const { keeper, caches, images } = host();
    const evictable = async (needed: readonly string[]) => {
      const { kept } = await keeper.look({ measure: false });
      const keys = needed.map((name) => revisionKey('project-1', revision(name)));
      return leastRecentlyUsed(kept, new Set(keys)).reduce((sum, each) => sum + roomOf(each), 0);
    };
    caches.push(cache('d', at(3), { bytes: null }), cache('e', at(3), { in_use: true }));
    images.push(image('f', at(3), { own_bytes: 4 }), image('g', at(3), { own_bytes: 3 }));

    expect(await evictable([])).toBe(5 + 5 + 4 + 3);
    expect(await evictable(['a', 'g'])).toBe(5 + 4);
  });

  it('counts for a job of its revision: caches, and one image with its bases', async () => {
    const { keeper, caches, images } = host();
    images.push(image('a', at(3)), image('a', at(3), { bytes: 20, key: revision('k') }));
    caches.push(cache('a', at(3), { project_id: 'project-2' }));
    const { kept } = await keeper.look({ measure: false });

    expect(bytesFor(jobOf('a').plan, kept)).toBe(5 + 20);
    expect(bytesFor(jobOf('x').plan, kept)).toBe(0);
  });

  it("is an image that was downloaded as well, which is a job's that names it by its hash", async () => {
    const { keeper, images, events } = host();
    const hash = `sha3:${'ab'.repeat(32)}`;
    const key = payloadKey(hash);
    images.push(image('p', at(0), { key, revision_sha256: key, payload: hash, bytes: 11 }));
    const { kept } = await keeper.look({ measure: false });
    const payload = [{ urls: ['https://example.com/x'], hash: hash.toUpperCase().replace('SHA3', 'sha3') }];
    const wanting = plan({ images: [{ id: 'main', source: { kind: 'payload', payload } }] });
    const needing = { ...wanting, identity: { ...wanting.identity, project_id: 'project-1' } };

    expect([bytesFor(needing, kept), bytesFor(jobOf('p').plan, kept)]).toEqual([11, 0]);
    const { id = '' } = (await keeper.items({ measure: false })).find((each) => each.payload === hash) ?? {};
    expect(await keeper.removeAsked(id)).toBe(true);
    expect(events.at(-1)?.event).toMatchObject({
      message: `The downloaded image ${hash.slice(0, 17)} was taken away: an operator asked for it on the host.`,
      values: { payload: hash },
    });
  });

  it('counts for a job of its revision also while another one uses it, by what it was last found to have', async () => {
    const { keeper, caches } = host();
    caches.push(cache('d', at(3), { bytes: null, last_bytes: 9, in_use: true }), cache('e', at(3), { bytes: null }));
    const { kept } = await keeper.look({ measure: false });

    expect([bytesFor(jobOf('d').plan, kept), bytesFor(jobOf('e').plan, kept)]).toEqual([9, 0]);
    const told = (await keeper.items({ measure: false })).filter(({ name }) => name === 'd' || name === 'e');
    expect(told).toMatchObject([
      { bytes: 9, in_use: true },
      { bytes: null, in_use: false },
    ]);
  });

  it('is measured where nobody has since it was used, and where nothing uses it', async () => {
    const { keeper, caches, measured, sizes, changes } = host();
    await keeper.measure();
    caches.push(cache('d', at(3), { bytes: null, in_use: true }));
    await keeper.measure();
    expect(measured()).toBe(0);

    caches.push(cache('e', at(3), { bytes: null }));
    // The engine says nothing of it: it is not asked again, and nobody is told of that.
    for (let times = 0; times < 2; times += 1) await keeper.measure();
    expect([measured(), changes()]).toEqual([1, 0]);
    caches.push(cache('f', at(3), { bytes: null }));
    sizes.set('f', 3);
    await keeper.measure();

    expect([measured(), changes()]).toEqual([2, 1]);
  });
});

describe('making room all the same', () => {
  it('goes on where sizes cannot be told, and behind what cannot be removed', async () => {
    const { makeRoom, left, broken } = host();
    broken.add('measuring').add('layers').add(at(1));

    await makeRoom(100);

    expect(left()).toEqual(['a']);
  });

  it('leaves what a job is of that has begun meanwhile', async () => {
    const { keeper, left, now } = host();

    const missing = async () => {
      if (left().length === 2) now.push('c');
      return 100 - 10 * (3 - left().length);
    };
    await keeper.makeRoom({ missing, reason: 'disk_short' });

    expect(left()).toEqual(['c']);
  });
});

describe('what nobody has used for too long', () => {
  it('goes where the operator says for how long it is kept', async () => {
    const { keeper, left, told } = host({ maxAgeHours: 2, layers: [at(1), at(3)] });

    await keeper.prune();

    expect(left()).toEqual(['c', 'image b', `layer ${at(3)}`]);
    expect(told()).toEqual([
      ['layers.removed', 'too_old'],
      ['cache.removed', 'too_old'],
    ]);
  });

  it('stays where nobody says so', async () => {
    const { keeper, left } = host();

    await keeper.prune();

    expect(left()).toEqual(['c', 'a', 'image b']);
  });
});

describe('what an operator sees and takes away', () => {
  it('is every cache and image, in use where a job may want it', async () => {
    const { keeper, images } = host({ live: ['b'] });
    images.push(image('f', at(9), { own_bytes: 4 }));

    expect(await keeper.items({ measure: false })).toMatchObject([
      { kind: 'cache', name: 'a', class: 'model', bytes: 5, max_bytes: null, used_at: at(1), in_use: false },
      { kind: 'image', name: null, class: null, revision_sha256: revision('b'), bytes: 7, in_use: true },
      { kind: 'cache', name: 'c', in_use: false },
      { kind: 'image', revision_sha256: revision('f'), own_bytes: 4 },
    ]);
  });

  it('says what could not be taken away once all others are, and nothing of what is gone already', async () => {
    const { keeper, left, broken, caches } = host();
    broken.add(at(1));
    await expect(keeper.removeAsked(undefined)).rejects.toMatchObject({ code: 'engine.failed' });
    const [last] = await keeper.items({ measure: false });

    expect(left()).toEqual(['a']);
    broken.clear();
    const removing = keeper.removeAsked(last?.id);
    caches.splice(0);
    expect(await removing).toBe(true);
  });

  it('is the one that is named, or all that nobody uses', async () => {
    const { keeper, left, told } = host({ live: ['b'], layers: [at(1)] });
    const [oldest, image] = await keeper.items({ measure: false });

    expect(await keeper.removeAsked('0'.repeat(24))).toBe(false);
    await expect(keeper.removeAsked(image?.id)).rejects.toMatchObject({ code: 'image.in_use' });
    expect(await keeper.removeAsked(oldest?.id)).toBe(true);
    expect(left()).toEqual(['c', 'image b', `layer ${at(1)}`]);
    await keeper.removeAsked(undefined);

    expect(left()).toEqual(['image b']);
    expect(told()).toEqual([
      ['cache.removed', 'operator'],
      ['cache.removed', 'operator'],
      ['layers.removed', 'operator'],
    ]);
  });
});

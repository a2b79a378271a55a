import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostDisk } from '../../../../src/server/jobs/held-disk.ts';
import { nextTurn, patienceMs, type WaitingJob } from '../../../../src/server/jobs/job-queue.ts';
import { fitOf, type JobHost, taking } from '../../../../src/server/jobs/placement.ts';

const nothing = { gpu_count: 0, gpu_memory_mib: 0, cpu_cores: 1, memory_gib: 1, disk_gib: 0 };
const job = (id: string, given: Partial<WaitingJob> = {}): WaitingJob => ({
  ...{ id, projectId: 'p1', queuedAt: 0, notBefore: 0, allocationId: null, needs: nothing },
  ...given,
});
const cores = (cpu_cores: number) => ({ ...nothing, cpu_cores });
function host(id: string, given: Partial<JobHost> = {}): JobHost {
  const amounts = { cpu_cores: 4, memory_gib: 64, disk_gib: 100 };
  return {
    ...{ allocationId: `al-${id}`, nodeId: id, name: id, projects: ['p1', 'p2', 'p3'], unfit: undefined },
    ...{ total: amounts, free: amounts, cards: [], cardLimit: 0, cardsPromised: 0, offers: undefined },
    disk: { now: 100, held: {}, claims: [], kept: new Map() },
    ...given,
  };
}
const begun = (turn: ReturnType<typeof nextTurn>) => turn.begin.map((each) => `${each.job.id} on ${each.host.nodeId}`);
const claim = (gib: number, revision?: string) => ({ job: 'a', gib, revision });
const none = new Map<string, number>();

describe('the queue of jobs', () => {
  it('begins the oldest of a project first', () => {
    const turn = nextTurn([job('b', { queuedAt: 2 }), job('a', { queuedAt: 1 })], [host('h')], none, 10);

    expect(begun(turn)).toEqual(['a on h', 'b on h']);
  });

  it('gives the next turn to the project with the fewest jobs at work, and to the one that waited longest among equals', () => {
    const waiting = [
      ...['a1', 'a2', 'a3'].map((id, index) => job(id, { queuedAt: index })),
      job('b1', { projectId: 'p2', queuedAt: 5 }),
      job('c1', { projectId: 'p3', queuedAt: 6 }),
    ];

    expect(begun(nextTurn(waiting, [host('h')], none, 10))).toEqual(['a1 on h', 'b1 on h', 'c1 on h', 'a2 on h']);
    expect(begun(nextTurn(waiting, [host('h')], new Map([['p1', 2]]), 10))).toEqual([
      ...['b1 on h', 'c1 on h', 'a1 on h', 'a2 on h'],
    ]);
  });

  it('lets a small job pass a large one that has to wait, and says what that waits for', () => {
    const busy = host('h', { free: { cpu_cores: 2, memory_gib: 64 } });
    const turn = nextTurn([job('large', { needs: cores(4) }), job('small', { queuedAt: 1 })], [busy], none, 10);

    expect(begun(turn)).toEqual(['small on h']);
    expect(turn.reasons.get('large')).toBe('It waits until it can have 4 cores, of 1 that are free.');
  });

  it('says of a single core that it is one', () => {
    const full = host('h', { free: { cpu_cores: 0, memory_gib: 64 } });
    const turn = nextTurn([job('one', { needs: cores(1) })], [full], none, 10);

    expect(turn.reasons.get('one')).toBe('It waits until it can have 1 core, of 0 that are free.');
  });

  it('keeps a host for a job that has waited long enough', () => {
    const busy = host('h', { free: { cpu_cores: 2, memory_gib: 64 } });
    const waiting = [job('large', { needs: cores(4) }), job('small', { projectId: 'p2', queuedAt: 1 })];
    const turn = nextTurn(waiting, [busy], none, patienceMs);

    expect(begun(turn)).toEqual([]);
    expect(turn.reasons.get('small')).toBe('It waits: its host is kept for a job that has waited longer.');
  });

  it.each<[string, Partial<HostDisk>, string[]]>([
    ['that is empty', {}, ['small on h']],
    ['where a job asks for none', { claims: [claim(0)] }, ['small on h']],
    ['where a job has written enough', { now: 30, claims: [claim(50)], held: { a: 20 } }, []],
    ['where a job has written too little', { claims: [claim(50)], held: { a: 20 } }, ['small on h']],
    ['where a job may have written enough, as nobody knows', { claims: [claim(50)] }, []],
    [
      'where what a job has of its revision goes with it',
      { claims: [claim(1, 'r')], kept: new Map([['r', { there: 50, evictable: 0 }]]), held: { a: 0 } },
      [],
    ],
    [
      'where what is there of its own revision stays',
      { claims: [claim(20, 'own')], kept: new Map([['own', { there: 10, evictable: 0 }]]), held: { a: 0 } },
      ['small on h'],
    ],
  ])('keeps none for a job whose disk nobody could give back: a host %s', (_where, disk, small) => {
    const { disk: all, free } = host('h');
    for (const cpu_cores of [free.cpu_cores, 1]) {
      const full = host('h', { free: { ...free, cpu_cores }, disk: { ...all, now: 10, ...disk } });
      const large = job('large', { needs: { ...nothing, cpu_cores: 2, disk_gib: 50 }, revision: 'own' });
      const waiting = [large, job('small', { projectId: 'p2', queuedAt: 1 })];

      expect(begun(nextTurn(waiting, [full], none, patienceMs))).toEqual(small);
    }
  });

  it('keeps none that it fits on for a job that pauses between two attempts', () => {
    const hosts = [host('h', { free: { cpu_cores: 2, memory_gib: 64 } })];
    const pausing = (cpu_cores: number) => job('old', { notBefore: patienceMs + 1, needs: cores(cpu_cores) });
    const small = job('small', { projectId: 'p2', queuedAt: 1 });

    expect(begun(nextTurn([pausing(1), small], hosts, none, patienceMs))).toEqual(['small on h']);
    expect(begun(nextTurn([pausing(4), small], hosts, none, patienceMs))).toEqual([]);
  });

  it('gives a job to the host that has refused it least, and keeps that for it', () => {
    const hosts = ['a', 'b', 'c'].map((id) => host(id));
    const refused = job('j', { refusedBy: ['a', 'b', 'a'] });
    const busy = hosts.map((each) => ({ ...each, free: { cpu_cores: 2, memory_gib: 64 } }));
    const large = { ...refused, needs: cores(4) };
    const small = ['s', 't', 'u'].map((id) => job(id, { projectId: 'p2', queuedAt: 1, needs: cores(2) }));

    expect(begun(nextTurn([refused], hosts, none, 0))).toEqual(['j on c']);
    expect(begun(nextTurn([refused], hosts.slice(0, 2), none, 0))).toEqual(['j on b']);
    expect(begun(nextTurn([refused], hosts.slice(0, 1), none, 0))).toEqual(['j on a']);
    expect(begun(nextTurn([large, ...small], busy, none, patienceMs))).toEqual(['s on a', 't on b']);
  });

  it('begins nothing where a host cannot, on hosts of others, elsewhere than asked for, or too early', () => {
    const away = host('away', { unfit: 'It is not connected.' });
    const theirs = host('theirs', { projects: ['p2'] });
    const waiting = [
      ...[job('a', { allocationId: 'al-away' }), job('b', { allocationId: 'al-none' })],
      ...[job('c', { notBefore: 11 }), job('d', { notBefore: 11, failed: 'The disk is full.' })],
    ];
    const turn = nextTurn(waiting, [away, theirs], none, 10);

    expect(begun(turn)).toEqual([]);
    expect(Object.fromEntries(turn.reasons)).toEqual({
      a: 'It waits for its host. away: It is not connected.',
      b: 'It waits for a host: its project has none now.',
      c: 'It is begun again at 1970-01-01T00:00:00.011Z.',
      d: 'It is begun again at 1970-01-01T00:00:00.011Z: The disk is full.',
    });
  });
});

/** A world in which every job runs for one turn or a few: what has ended is free again at the next. */
function simulate(all: readonly (WaitingJob & { readonly turns: number })[], hosts: readonly JobHost[]) {
  const startedAt = new Map<string, number>();
  let waiting = [...all];
  let running: { job: WaitingJob; host: string; granted: { cpu_cores: number }; until: number }[] = [];
  for (let turn = 0; waiting.length > 0 && turn < 500; turn += 1) {
    running = running.filter(({ until }) => until > turn);
    const places = hosts.map((each) =>
      running
        .filter(({ host: id }) => id === each.nodeId)
        .reduce(
          (left, { job: { needs }, granted }) => taking(left, { ...needs, memory_gib: 1, ...granted }, needs),
          each,
        ),
    );
    const atWork = new Map<string, number>();
    for (const {
      job: { projectId },
    } of running)
      atWork.set(projectId, (atWork.get(projectId) ?? 0) + 1);
    const now = turn * 60_000;
    for (const {
      job: placed,
      host: { nodeId },
      granted,
    } of nextTurn(waiting, places, atWork, now).begin) {
      startedAt.set(placed.id, turn);
      const turns = all.find(({ id }) => id === placed.id)?.turns ?? 1;
      running.push({ job: placed, host: nodeId, granted, until: turn + turns });
    }
    waiting = waiting.filter(({ id }) => !startedAt.has(id));
  }
  return startedAt;
}

describe('over time', () => {
  const jobs = fc.array(
    fc.record({
      projectId: fc.constantFrom('p1', 'p2', 'p3'),
      cpu: fc.integer({ min: 1, max: 4 }),
      turns: fc.integer({ min: 1, max: 6 }),
    }),
    { minLength: 1, maxLength: 40 },
  );

  it('every job that fits somewhere is begun, whatever else there is', () => {
    fc.assert(
      fc.property(jobs, fc.integer({ min: 1, max: 3 }), (given, count) => {
        const hosts = Array.from({ length: count }, (_, index) => host(`h${index}`));
        const all = given.map(({ projectId, cpu, turns }, index) => ({
          ...job(`j${index}`, { projectId, needs: cores(cpu), queuedAt: index }),
          turns,
        }));

        expect(simulate(all, hosts).size).toBe(all.length);
      }),
      { numRuns: 60 },
    );
  });

  it('no project starves: one job of it waits for at most one of each other, however many those have', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 }), (many, more) => {
        const flood = [
          ...Array.from({ length: many }, (_, index) =>
            job(`a${index}`, { projectId: 'p1', needs: cores(4), queuedAt: 1 }),
          ),
          ...Array.from({ length: more }, (_, index) =>
            job(`b${index}`, { projectId: 'p2', needs: cores(4), queuedAt: 2 }),
          ),
        ].map((each) => ({ ...each, turns: 1 }));
        const lone = { ...job('lone', { projectId: 'p3', needs: cores(4), queuedAt: 3 }), turns: 1 };
        const startedAt = simulate([...flood, lone], [host('h0'), host('h1'), host('h2')]);

        expect(startedAt.get('lone')).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  it('a host never has more than it can', () => {
    fc.assert(
      fc.property(jobs, (given) => {
        const all = given.map(({ projectId, cpu }, index) => job(`j${index}`, { projectId, needs: cores(cpu) }));
        const { begin } = nextTurn(all, [host('h')], none, 0);

        expect(begin.reduce((sum, { granted }) => sum + granted.cpu_cores, 0)).toBeLessThanOrEqual(4);
        expect(begin.every(({ job: { needs }, host: at }) => fitOf(needs, at).is === 'now')).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

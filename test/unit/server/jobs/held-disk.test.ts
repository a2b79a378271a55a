import { describe, expect, it } from 'vitest';
import type { KeptItem } from '../../../../src/contract/kept-items.ts';
import { type DiskClaim, diskFor, type HostDisk, keptByRevision } from '../../../../src/server/jobs/held-disk.ts';

const claim = (job: string, gib: number, revision?: string): DiskClaim => ({ job, gib, revision });
const disk = (now: number, claims: DiskClaim[], held: Record<string, number> = {}): HostDisk => ({
  ...{ now, claims, held, kept: new Map() },
});

describe('the disk that jobs at work leave', () => {
  it.each<[string, HostDisk, number]>([
    ['is all of it where there are none', disk(150, []), 150],
    ['is what a job does not ask for of which its host has not told yet', disk(150, [claim('a', 100)]), 50],
    ['is the same once it has written some of that', disk(90, [claim('a', 100)], { a: 40 }), 50],
    ['is all that is free once it has written all of its own', disk(40, [claim('a', 100)], { a: 0 }), 40],
    ['is less by each', disk(100, [claim('a', 50), claim('b', 40)], { a: 10 }), 50],
    ['is what a job held that is over by now', disk(100, [], { gone: 60 }), 100],
    ['is never less than nothing', disk(10, [claim('a', 100)]), 0],
  ])('%s', (_what, host, left) => {
    expect(diskFor(host, undefined)).toBe(left);
  });
});

describe('the disk for a job of a revision', () => {
  const gib = 2 ** 30;
  const item = (kind: 'image' | 'cache', of: Partial<KeptItem>): KeptItem => ({
    ...{ id: '0'.repeat(24), kind, project_id: 'p', revision_sha256: 'a', name: null, class: null, used_at: null },
    ...{ bytes: null, max_bytes: null, in_use: false },
    ...of,
  });
  /** 100 GiB, on which an image of 46 was built of which 45 are its base. */
  const prepared: HostDisk = {
    ...disk(55, []),
    kept: keptByRevision([item('image', { bytes: 46 * gib, own_bytes: gib })], 'p'),
  };

  it('has what is there of it, and not also as what would make room', () => {
    expect(diskFor(prepared, 'a')).toBe(100);
    expect(diskFor(prepared, 'b')).toBe(55);
    expect(diskFor(prepared, undefined)).toBe(55);
  });

  it('is as much for a second job beside the first as the first has left, once what they share is there', () => {
    const claims = [claim('one', 60, 'a')];
    const inUse = { ...prepared, now: 54, kept: new Map([['a', { there: 46, evictable: 0 }]]) };

    expect([diskFor({ ...inUse, claims }, 'a'), diskFor({ ...inUse, claims }, 'b')]).toEqual([86, 40]);
    const told = { ...inUse, claims, held: { one: 4 } };
    expect([diskFor(told, 'a'), diskFor(told, 'b')]).toEqual([96, 50]);
    // Before that, either may be the one that fetches it.
    expect([diskFor(disk(100, claims), 'a'), diskFor(disk(100, claims), 'b')]).toEqual([40, 40]);
  });

  it('has all caches and the largest image of its own project, and of caches what was measured', () => {
    const items = [
      ...[
        item('image', { bytes: 2 * gib, own_bytes: 0, in_use: true }),
        item('image', { bytes: 3 * gib, in_use: true }),
      ],
      ...[item('cache', { bytes: 4 * gib }), item('cache', { bytes: 5 * gib, in_use: true }), item('cache', {})],
      ...[item('cache', { bytes: 7 * gib, project_id: 'other' }), item('cache', { bytes: gib, revision_sha256: 'b' })],
    ];

    expect(Object.fromEntries(keptByRevision(items, 'p'))).toEqual({
      a: { there: 12, evictable: 4 },
      b: { there: 1, evictable: 1 },
    });
  });
});

import { describe, expect, it } from 'vitest';
import type { KeptItem } from '../../../../src/contract/kept-items.ts';
import {
  claiming,
  type DiskClaim,
  diskFor,
  diskLeft,
  type HostDisk,
  keptByRevision,
} from '../../../../src/server/jobs/held-disk.ts';

const claim = (own: number, found?: number, of: Partial<DiskClaim> = {}): DiskClaim => ({
  ...{ own, found, shared: 0, revision: undefined },
  ...of,
});

describe('the disk that jobs at work leave', () => {
  it.each<[string, number, DiskClaim[], number]>([
    ['is all of it where there are none', 150, [], 150],
    ['is what a job that has written nothing does not ask for', 150, [claim(100, 150)], 50],
    ['is the same once it has written some of that', 90, [claim(100, 150)], 50],
    ['is no more than is free, whatever others have written', 30, [claim(100, 150)], 30],
    ['has what was freed since', 140, [claim(20, 50)], 120],
    ['is less by each that has begun, from the first on', 100, [claim(50, 150), claim(40, 120)], 60],
    ['is what the last of them leaves, where others had begun with more', 40, [claim(10, 200), claim(60, 80)], 20],
    [
      'has what was freed since the first of them, also once another has written',
      100,
      [claim(40, 40), claim(100, 190)],
      50,
    ],
    ['counts all of a job twice of which nobody has noted what it found', 90, [claim(40)], 50],
    ['is never less than nothing', 10, [claim(100)], 0],
  ])('%s', (_what, now, claims, left) => {
    expect(diskLeft(now, claims)).toBe(left);
  });

  it('has what jobs of one revision share taken off once', () => {
    const of = (revision: string) => claim(10, 500, { shared: 30, revision });

    expect(diskLeft(500, [of('a'), of('a'), of('a')])).toBe(440);
    expect(diskLeft(500, [of('a'), of('b')])).toBe(420);
  });
});

describe('the disk for a job of a revision', () => {
  const gib = 2 ** 30;
  const item = (kind: 'image' | 'cache', of: Partial<KeptItem>): KeptItem => ({
    ...{ id: '0'.repeat(24), kind, project_id: 'p', revision_sha256: 'a', name: null, class: null, used_at: null },
    ...{ bytes: null, max_bytes: null, in_use: false },
    ...of,
  });
  const needs = {
    ...{ gpu_count: 0, gpu_memory_mib: 0, cpu_cores: 1, memory_gib: 1, disk_gib: 60 },
    disk_parts: [
      { part: 'its image', gib: 46, shared: true },
      { part: 'the rest', gib: 14 },
    ],
  };
  /** 100 GiB, on which an image of 46 was built of which 45 are its base. */
  const prepared: HostDisk = {
    ...{ now: 55, claims: [] },
    kept: keptByRevision([item('image', { bytes: 46 * gib, own_bytes: gib })], 'p'),
  };

  it('has what is there of it, and not also as what would make room', () => {
    expect(diskFor(prepared, 'a')).toBe(100);
    expect(diskFor(prepared, 'b')).toBe(55);
    expect(diskFor(prepared, undefined)).toBe(55);
  });

  it('is as much for a second job beside the first, before and after its image is built', () => {
    const built = claiming(prepared, needs, 'a');
    const unbuilt = claiming({ now: 100, claims: [], kept: new Map() }, needs, 'a');

    expect([diskFor(built, 'a'), diskFor(built, 'b')]).toEqual([86, 40]);
    expect([diskFor(unbuilt, 'a'), diskFor(unbuilt, 'b')]).toEqual([86, 40]);
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

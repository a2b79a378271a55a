import { describe, expect, it } from 'vitest';
import { type DiskClaim, diskLeft } from '../../../../src/server/jobs/held-disk.ts';

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

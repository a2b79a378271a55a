import { expect, it } from 'vitest';
import { labels } from '../../../src/contract/names.ts';
import { holdersOf, useOf } from '../../../src/gate/holders.ts';

const ours = (instance: string) => ({ [labels.instance]: instance, [labels.seal]: 'seal' });

it('what containers have is told beside whose these are, as long as all of them are ours', () => {
  const containers = [
    { Labels: ours('job-1'), has: ['a', 'b', 'd'] },
    { Labels: ours('svc-1'), has: ['a', 'c', 'd'] },
    { Labels: ours('svc-1'), has: ['a', 'c'] },
    { Labels: { [labels.instance]: 'svc-1' }, has: ['b', 'd'] },
    { Labels: ours('svc-1'), has: ['d'] },
    { Labels: null, has: ['e'] },
  ];

  const holders = holdersOf(containers, ({ has }) => has);

  expect(Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((thing) => [thing, useOf(thing, holders)]))).toEqual({
    ...{ a: { in_use: true, held_by: ['job-1', 'svc-1'] }, c: { in_use: true, held_by: ['svc-1'] } },
    ...{ b: { in_use: true }, d: { in_use: true }, e: { in_use: true }, f: { in_use: false } },
  });
});

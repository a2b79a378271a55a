import { expect, it } from 'vitest';
import { routeOf } from '../../../src/console/lib/route-of.ts';

it('takes an address apart', () => {
  const { path, parts, query } = routeOf('#/instances/a%2Fb?tab=logs');

  expect({ path, parts, tab: query.get('tab') }).toEqual({
    ...{ path: '/instances/a%2Fb', parts: ['instances', 'a/b'], tab: 'logs' },
  });
});

it('reads what nobody meant as an address', () => {
  expect(['', '#', '#//apps//', '#/%zz'].map((hash) => routeOf(hash).parts)).toEqual([[], [], ['apps'], ['%zz']]);
});

import { expect, it } from 'vitest';
import { sizesOf } from '../../../bootstrap/dev/quickstart-sizes.ts';
import { fitOf } from '../../../src/server/jobs/placement.ts';

const noWishes = { gpu_count: 0, gpu_memory_mib: 0, cpu_cores: null, memory_gib: null, disk_gib: 1 };

it.each([
  [2, 4.8],
  [2, 7.7],
  [4, 15.6],
  [64, 503],
])('a job that says nothing of its size finds room beside the notebook on %i cores and %i GiB', (cores, gib) => {
  const { allocation, notebook } = sizesOf({ cores, gib });
  const amounts = (of: { cores: number; gib: number }) => ({ cpu_cores: of.cores, memory_gib: of.gib, disk_gib: 100 });
  const free = { cores: allocation.cores - notebook.cores, gib: allocation.gib - notebook.gib };
  const host = {
    ...{ allocationId: 'a', nodeId: 'n', name: 'h', projects: ['p'], unfit: undefined },
    ...{
      total: amounts(allocation),
      free: amounts(free),
      cards: [],
      cardLimit: 0,
      cardsPromised: 0,
      offers: undefined,
      disk: { now: 100, held: {}, claims: [], kept: new Map() },
    },
  };

  expect(allocation.cores).toBeLessThanOrEqual(cores);
  expect(fitOf(noWishes, host)).toMatchObject({ is: 'now' });
});

it('gives the notebook no more than the curated profile does, however large the host is', () => {
  expect(sizesOf({ cores: 64, gib: 503 }).notebook).toEqual({ cores: 2, gib: 4 });
});

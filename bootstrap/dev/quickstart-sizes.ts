/** What quickstart gives of a host: to its allocation, and of that to the notebook, so that a job finds room beside it. */
import { availableParallelism, totalmem } from 'node:os';

interface Amounts {
  readonly cores: number;
  readonly gib: number;
}

/** Least that the notebook of quickstart asks for, which is less than the curated profile does. */
export const leastOfNotebook: Amounts = { cores: 1, gib: 1 };

const usual: Amounts = { cores: 2, gib: 4 };

interface Sizes {
  readonly allocation: Amounts;
  readonly notebook: Amounts;
}

/** Of this host, unless another is named. 2 GiB are left to it. */
export function sizesOf({ cores, gib }: Amounts = { cores: availableParallelism(), gib: totalmem() / 2 ** 30 }): Sizes {
  const allocation = { cores, gib: Math.max(leastOfNotebook.gib, Math.floor(gib) - 2) };
  const share = (all: number, least: number, most: number) => Math.min(most, Math.max(least, Math.floor(all / 2)));
  return {
    allocation,
    notebook: {
      cores: share(allocation.cores, leastOfNotebook.cores, usual.cores),
      gib: share(allocation.gib, leastOfNotebook.gib, usual.gib),
    },
  };
}

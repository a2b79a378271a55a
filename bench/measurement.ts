/** One line of the result, and how to get to its numbers. */

export interface Measurement {
  readonly name: string;
  readonly unit: 'ms' | 'MB' | 'MB/s' | 'kB' | '% of a core';
  /** Medians of both sides. */
  readonly ours: number;
  readonly theirs: number;
  readonly against: string;
  /** What was promised, where something was. */
  readonly target?: string;
  readonly met?: boolean;
}

/** Milliseconds that the work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

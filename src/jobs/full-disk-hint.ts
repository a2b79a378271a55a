/** What is told of a part of a job that failed on a disk without room. Its engine could not write down what it said of that. */
import { readDisk } from '../host/resources.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

/** Less than that is full for whoever writes as usual, in pieces. */
const fullBytes = 16 * 2 ** 20;
/** The end of a part waits for it. */
const lookTimeoutMs = 5_000;

/** Undefined where the disk of the engine is not full now, or nobody can say. */
export async function fullDiskHint(engine: ContainerEngine, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { rootDir } = await engine.facts(AbortSignal.any([signal, AbortSignal.timeout(lookTimeoutMs)]));
    const { freeBytes, freeEntries } = await readDisk(rootDir);
    if (freeBytes >= fullBytes && freeEntries > 0) return undefined;
    return `The engine's disk has no room left (${rootDir}): the end of its log may be lost.`;
  } catch {
    return undefined;
  }
}

/** The log of one container, read on over restarts of the engine and of the gate. */
import { AgentError } from '../../contract/failures.ts';
import { type Backoff, backoffDelay, pause } from '../../kit/backoff.ts';
import type { ContainerEngine } from '../../runtime/engine.ts';
import type { LogItem, ReadOptions } from './log-source.ts';

export const usualBackoff: Backoff = { firstMs: 200, maxMs: 5000, factor: 2 };

/**
 * Ends with the log, or when a followed container ends. While it is followed, an engine that is away is waited for as
 * long as the reader waits; nothing is missed over that and nothing comes twice.
 */
export async function* readContainerLog(
  engine: Pick<ContainerEngine, 'logs'>,
  container: string,
  { cursor, ...options }: ReadOptions,
  backoff = usualBackoff,
): AsyncGenerator<LogItem, void, undefined> {
  let position = cursor;
  opened: for (let attempt = 1; ; attempt += 1) {
    try {
      const jumps = new Jumps();
      for await (const entry of engine.logs(container, { ...options, cursor: position })) {
        attempt = 1;
        if (options.follow && jumps.mayHide(entry.time)) {
          continue opened;
        }
        position = entry.cursor;
        if (entry.afterGap) {
          yield { gap: true, dropped: null };
        }
        const { time, channel, data, partial } = entry;
        yield { cursor: position, time, channel, data, partial };
      }
      return;
    } catch (error) {
      if (!options.follow || !isPassing(error)) {
        throw error;
      }
      await pause(backoffDelay(backoff, attempt), options.signal);
    }
  }
}

/**
 * An engine that is followed by a reader who does not keep up goes on, at the end of a file that was rotated away, with the
 * newest one: what lay between is lost, and nobody is told. Where a late reader is shown a jump, the log is therefore opened
 * anew behind the last entry, where it can be told whether something is missing.
 */
class Jumps {
  readonly #openedAt = Date.now();
  #last: number | undefined;

  /** True if something may be missing before this entry. */
  mayHide(time: string): boolean {
    const at = Date.parse(time);
    const before = this.#last;
    this.#last = at;
    const now = Date.now();
    // To open a log costs the engine a look through all of it, so it is not done for each pause of a quiet workload.
    return before !== undefined && at - before > jumpMs && now - at > lateMs && now - this.#openedAt > openMs;
  }
}

/** Later than this, a reader does not keep up; nearer, nothing was rotated away that he has not read. */
const lateMs = 1000;
const jumpMs = 50;
const openMs = 2000;

/** True for trouble of engine or gate that is over by itself. */
export function isPassing(error: unknown): boolean {
  return error instanceof AgentError && (error.code === 'engine.unavailable' || error.code === 'engine.timed_out');
}

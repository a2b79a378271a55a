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
  for (let attempt = 1; ; attempt += 1) {
    try {
      for await (const entry of engine.logs(container, { ...options, cursor: position })) {
        attempt = 1;
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

/** True for trouble of engine or gate that is over by itself. */
export function isPassing(error: unknown): boolean {
  return error instanceof AgentError && (error.code === 'engine.unavailable' || error.code === 'engine.timed_out');
}

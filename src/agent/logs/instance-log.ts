/** The log of a workload's container, read on over restarts of the engine and of the gate. */
import { AgentError } from '../../contract/failures.ts';
import { containerName } from '../../contract/names.ts';
import { type Backoff, backoffDelay, pause } from '../../kit/backoff.ts';
import type { ContainerEngine } from '../../runtime/engine.ts';
import type { LogItem, ReadOptions } from './log-source.ts';

const usual: Backoff = { firstMs: 200, maxMs: 5000, factor: 2 };

/**
 * Ends with the log, or when a followed container ends. While it is followed, an engine that is away is waited for as
 * long as the reader waits; nothing is missed over that and nothing comes twice.
 */
export async function* readInstanceLog(
  engine: Pick<ContainerEngine, 'logs'>,
  instance: string,
  { cursor, ...options }: ReadOptions,
  backoff = usual,
): AsyncGenerator<LogItem, void, undefined> {
  let position = cursor;
  for (let attempt = 1; ; attempt += 1) {
    try {
      for await (const entry of engine.logs(containerName(instance), { ...options, cursor: position })) {
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
      if (!options.follow || !(error instanceof AgentError) || !isPassing(error)) {
        throw error;
      }
      await pause(backoffDelay(backoff, attempt), options.signal);
    }
  }
}

function isPassing({ code }: AgentError): boolean {
  return code === 'engine.unavailable' || code === 'engine.timed_out';
}

/**
 * Logs of a container, entry by entry, at the pace of the reader: the engine is asked for more only when the reader
 * comes back, so a flood fills nobody's memory.
 *
 * What the engine's log driver keeps is delivered as bytes. Its json-file driver itself replaces invalid UTF-8 by
 * U+FFFD while writing, which nobody can undo.
 */
import { AgentError } from '../../contract/failures.ts';
import type { LogEntry, LogOptions } from '../engine.ts';
import type { Calls, EngineStream } from './calls.ts';
import { FrameReader } from './frames.ts';
import { LogReader } from './log-cursor.ts';
import { EntryReader } from './log-entries.ts';

/**
 * Ends with the log, or when a followed container ends. Throws `engine.unavailable` when the connection is lost: go on
 * with the cursor of the last entry, nothing is missed and nothing comes twice.
 */
export async function* readLogs(
  calls: Calls,
  container: string,
  options: LogOptions,
): AsyncGenerator<LogEntry, void, undefined> {
  let cursor = options.cursor;
  for await (const entry of readStream(calls, container, options)) {
    cursor = entry.cursor;
    yield entry;
  }
  // Where the container ends before its reader is done, engines cut the stream off somewhere, as if that were its end.
  if (options.follow && (cursor !== undefined || options.tail === undefined)) {
    yield* readRest(calls, container, { signal: options.signal, cursor, follow: false });
  }
}

/** Nothing where the container is gone by now. */
async function* readRest(
  calls: Calls,
  container: string,
  options: LogOptions,
): AsyncGenerator<LogEntry, void, undefined> {
  try {
    yield* readStream(calls, container, options);
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'container.not_found') {
      throw error;
    }
  }
}

async function* readStream(
  calls: Calls,
  container: string,
  { signal, cursor, tail, follow }: LogOptions,
): AsyncGenerator<LogEntry, void, undefined> {
  const reader = new LogReader(cursor);
  const since = reader.since(Date.now());
  const query = {
    ...{ stdout: 1, stderr: 1, timestamps: 1, follow: follow ? 1 : 0 },
    ...(since === undefined ? {} : { since }),
    ...(tail === undefined || cursor !== undefined ? {} : { tail }),
  };
  const options = { call: 'logs', timeoutMs: calls.timeouts.lookMs, signal, container };
  const stream = await calls.open(options, (_docker, abort) =>
    // Not dockerode's: unless it follows, it collects the whole log before it gives any.
    calls.transport.stream({ method: 'GET', path: `/containers/${container}/logs`, query, signal: abort }),
  );
  yield* readEntries(stream, reader, follow ? undefined : calls.timeouts.stallMs);
}

async function* readEntries(
  stream: EngineStream,
  reader: LogReader,
  stallMs: number | undefined,
): AsyncGenerator<LogEntry, void, undefined> {
  const frames = new FrameReader();
  const entries = new EntryReader();
  for await (const chunk of stream.chunks(stallMs)) {
    for (const piece of frames.push(chunk)) {
      if (piece.channel === 'engine') {
        throw new AgentError('engine.failed', { call: 'logs', reason: piece.data.toString() });
      }
      for (const entry of entries.push(piece, piece.channel)) {
        const cursor = reader.advance(entry.channel, entry.time);
        if (cursor !== undefined) {
          yield { cursor, ...entry, ...(reader.takeGap() ? { afterGap: true } : {}) };
        }
      }
    }
  }
}

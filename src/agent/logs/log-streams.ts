/**
 * The log streams that a session has open.
 *
 * A stream sends no more than it has credit for, and reads no more than it can send: what waits is one block. A reader
 * that takes nothing for a while costs not even that on the engine's side: the source is let go and opened again behind
 * the last entry once there is credit. What was rotated away meanwhile becomes a gap.
 *
 *   open ──▶ waiting for credit ◀──▶ reading ──▶ end
 *                     └── let go ──────┘
 */
import { AgentError, type Failure } from '../../contract/failures.ts';
import { creditOf } from '../../contract/log-credit.ts';
import {
  type LogsChunk,
  type LogsEnd,
  type LogsGap,
  type LogsOpen,
  maxChunkEntries,
  type StreamedEntry,
} from '../../contract/session-messages.ts';
import type { LogReply, LogRequests } from '../session/session.ts';
import { Credit } from './credit.ts';
import type { LogItem, LogSources } from './log-source.ts';
import { streamedEntry } from './streamed-entry.ts';

export interface LogStreamsOptions {
  readonly sources: LogSources;
  /** Streams that are open at once; one more ends at once with `logs.exhausted`. */
  readonly maxStreams?: number;
  /** How long a source is held for a reader without credit, in milliseconds. */
  readonly holdMs?: number;
}

/** What the streams did since the agent started. */
export interface LogCounts {
  readonly open: number;
  readonly entries: number;
  readonly bytes: number;
  readonly gaps: number;
}

/** Most credit that one message uses: far below the limit of a frame. */
const maxBlockCredit = 64 * 1024;

type LogMessage = LogsChunk | LogsGap | LogsEnd;

interface OpenStream {
  readonly name: string;
  readonly reply: LogReply;
  readonly credit: Credit;
  readonly abort: AbortController;
}

export class LogStreams implements LogRequests {
  readonly #options: Required<LogStreamsOptions>;
  readonly #open = new Map<string, OpenStream>();
  #counts = { entries: 0, bytes: 0, gaps: 0 };

  constructor(options: LogStreamsOptions) {
    this.#options = { maxStreams: 32, holdMs: 5000, ...options };
  }

  /** Begins to send. A stream of the same name that is still open is closed first. */
  open(asked: LogsOpen, reply: LogReply): void {
    this.close(asked.stream);
    if (this.#open.size >= this.#options.maxStreams) {
      const failure = new AgentError('logs.exhausted', { count: this.#open.size }).toFailure();
      void reply.send({ type: 'logs_end', stream: asked.stream, failure });
      return;
    }
    const stream = { name: asked.stream, reply, credit: new Credit(asked.bytes), abort: new AbortController() };
    this.#open.set(asked.stream, stream);
    void this.#serve(asked, stream);
  }

  /** More may be sent. A stream that has ended meanwhile needs none. */
  credit(stream: string, bytes: number): void {
    this.#open.get(stream)?.credit.add(bytes);
  }

  /** Nothing more is sent for it. */
  close(stream: string): void {
    this.#open.get(stream)?.abort.abort();
    this.#open.delete(stream);
  }

  counts(): LogCounts {
    return { open: this.#open.size, ...this.#counts };
  }

  async #serve(asked: LogsOpen, stream: OpenStream): Promise<void> {
    const failure = await this.#run(asked, stream).then(
      () => null,
      (error: unknown) => failureOf(error),
    );
    if (this.#open.get(stream.name) === stream) {
      this.#open.delete(stream.name);
    }
    if (!stream.abort.signal.aborted) {
      await stream.reply.send({ type: 'logs_end', stream: stream.name, failure });
    }
  }

  /** Resolves at the end of the log. */
  async #run(asked: LogsOpen, stream: OpenStream): Promise<void> {
    const { credit, abort } = stream;
    const { signal } = abort;
    let cursor = asked.cursor ?? undefined;
    let ended = false;
    while (!ended) {
      await credit.available(signal);
      const held = new AbortController();
      const source = this.#options.sources.read(asked.source, {
        ...{ cursor, tail: asked.tail ?? undefined, follow: asked.follow },
        signal: AbortSignal.any([signal, held.signal]),
      });
      const block = new Block();
      try {
        ended = await this.#pump(source, block, stream);
      } finally {
        held.abort();
        // Lets go of what it holds where it waits to be asked for the next entry.
        void source.return().catch(() => undefined);
      }
      cursor = block.cursor ?? cursor;
    }
  }

  /** True at the end of the log, false if the reader had no credit for so long that the source is let go. */
  async #pump(source: AsyncGenerator<LogItem>, block: Block, stream: OpenStream): Promise<boolean> {
    const { credit, abort } = stream;
    let next = source.next();
    for (;;) {
      const item = await soonOr(next, () => this.#flush(block, stream));
      if (item.done) {
        await this.#flush(block, stream);
        return true;
      }
      if ('gap' in item.value) {
        await this.#flush(block, stream);
        this.#counts.gaps += 1;
        await send(stream, { type: 'logs_gap', stream: stream.name, dropped: item.value.dropped });
      } else {
        block.add(streamedEntry(item.value), item.value.cursor);
        if (block.isFull(credit.left)) {
          await this.#flush(block, stream);
        }
      }
      if (!(await credit.available(abort.signal, this.#options.holdMs))) {
        return false;
      }
      next = source.next();
    }
  }

  async #flush(block: Block, stream: OpenStream): Promise<void> {
    stream.abort.signal.throwIfAborted();
    const { entries, cost, cursor } = block.take();
    if (entries.length === 0 || cursor === undefined) {
      return;
    }
    stream.credit.spend(cost);
    this.#counts.entries += entries.length;
    this.#counts.bytes += cost;
    await send(stream, { type: 'logs_chunk', stream: stream.name, cursor, block: entries });
  }
}

/** Waits until the connection has taken it. Where there is none any more, nobody reads: the stream is over. */
async function send({ reply, abort }: OpenStream, message: LogMessage): Promise<void> {
  if (!(await reply.send(message))) {
    abort.abort();
  }
  abort.signal.throwIfAborted();
}

/** Entries that go out together. */
class Block {
  /** Behind the last entry that was added. */
  cursor: string | undefined;
  #entries: StreamedEntry[] = [];
  #cost = 0;

  add(entry: StreamedEntry, cursor: string): void {
    this.#entries.push(entry);
    this.#cost += creditOf(entry);
    this.cursor = cursor;
  }

  isFull(credit: number): boolean {
    return this.#cost >= Math.min(maxBlockCredit, credit) || this.#entries.length >= maxChunkEntries;
  }

  take(): { entries: StreamedEntry[]; cost: number; cursor: string | undefined } {
    const taken = { entries: this.#entries, cost: this.#cost, cursor: this.cursor };
    this.#entries = [];
    this.#cost = 0;
    return taken;
  }
}

/** Waits for the promise; if it does not come within one turn of the event loop, what waits is sent first. */
async function soonOr<T>(promise: Promise<T>, idle: () => Promise<void>): Promise<T> {
  const { promise: turn, resolve } = Promise.withResolvers<undefined>();
  // Whoever fails while the other is awaited must not count as unhandled.
  promise.catch(() => undefined);
  setImmediate(resolve, undefined);
  const first = await Promise.race([promise.then((value) => ({ value })), turn]);
  if (first) {
    return first.value;
  }
  await idle();
  return await promise;
}

function failureOf(error: unknown): Failure {
  if (error instanceof AgentError) {
    return error.toFailure();
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new AgentError('internal', { reason }, { cause: error }).toFailure();
}

/**
 * Logs on their way from a node to whoever reads them, as fast as the reader reads and no faster.
 *
 * The node may send a window ahead of the reader, in the unit of `creditOf`; what the reader has taken makes room for
 * more. A stream survives its session: when the node is back it is asked to go on behind the last entry that arrived.
 */
import { AgentError, type Failure } from '../../contract/failures.ts';
import { creditOf } from '../../contract/log-credit.ts';
import type {
  FromControlPlane,
  LogSource,
  LogsChunk,
  LogsEnd,
  LogsGap,
  StreamedEntry,
} from '../../contract/session-messages.ts';
import type { Clock } from '../../kit/clock.ts';

export interface LogRequest {
  readonly source: LogSource;
  /** Go on behind this entry; null to begin where `tail` says. */
  readonly cursor: string | null;
  /** Last entries to begin with; null for all. */
  readonly tail: number | null;
  /** True to wait for what comes. */
  readonly follow: boolean;
}

export type LogPart =
  /** `cursor` is the position behind the last entry, good for a later request. */
  | { readonly kind: 'entries'; readonly cursor: string; readonly entries: readonly StreamedEntry[] }
  /** Something is missing here; null where nobody could count it. */
  | { readonly kind: 'gap'; readonly dropped: number | null }
  | LogEnd;

/** Last part. The failure says why it ended early; the notice, for people, why there is nothing of it. */
export interface LogEnd {
  readonly kind: 'end';
  readonly failure: Failure | null;
  readonly notice?: string;
}

/** The session of a node, as far as logs need it. */
export interface LogSession {
  readonly nodeId: string;
  readonly connection: { send(message: FromControlPlane): void; fault(reason: string): void };
}

export interface LogRelayOptions {
  readonly clock: Clock;
  /** Entries that may wait for a reader, in the unit of `creditOf`. */
  readonly windowBytes?: number;
  /** How long a reader waits for a node that has no session. */
  readonly patienceSeconds?: number;
}

interface Stream {
  readonly id: string;
  readonly nodeId: string;
  readonly request: LogRequest;
  /** Position behind the last entry that arrived. */
  cursor: string | null;
  readonly parts: LogPart[];
  /** What arrived and was not taken yet, in credit. */
  waiting: number;
  /** Credit of what was taken that was not yet given back to the node. */
  owed: number;
  /** Name of the stream in the present session; undefined while there is none. */
  wire: string | undefined;
  /** Aborted when the node is back or the reader is gone. */
  absence: AbortController | undefined;
  notify: () => void;
}

export class LogRelay {
  readonly #clock: Clock;
  readonly #window: number;
  readonly #patienceMs: number;
  readonly #sessions = new Map<string, LogSession>();
  readonly #streams = new Set<Stream>();
  readonly #onWire = new Map<string, Stream>();
  #opened = 0;

  constructor({ clock, windowBytes = 256 * 1024, patienceSeconds = 60 }: LogRelayOptions) {
    this.#clock = clock;
    this.#window = windowBytes;
    this.#patienceMs = patienceSeconds * 1000;
  }

  /** Reads a log until its end, or until `signal` is aborted. Take parts as fast as they can be passed on. */
  async *read(nodeId: string, request: LogRequest, signal: AbortSignal): AsyncGenerator<LogPart, void, void> {
    const stream = this.#begin(nodeId, request);
    const leave = () => stream.notify();
    signal.addEventListener('abort', leave, { once: true });
    try {
      while (!signal.aborted) {
        const part = stream.parts.shift();
        if (!part) {
          await new Promise<void>((resolve) => {
            stream.notify = resolve;
          });
          continue;
        }
        yield part;
        if (part.kind === 'end') return;
        this.#taken(stream, part);
      }
    } finally {
      signal.removeEventListener('abort', leave);
      this.#drop(stream);
    }
  }

  /** The node has a session: its streams go on there. */
  attach(session: LogSession): void {
    this.#sessions.set(session.nodeId, session);
    for (const stream of this.#of(session.nodeId)) this.#open(stream, session);
  }

  /** The session is over. */
  detach(session: LogSession): void {
    if (this.#sessions.get(session.nodeId) !== session) return;
    this.#sessions.delete(session.nodeId);
    for (const stream of this.#of(session.nodeId)) this.#await(stream);
  }

  /** What a node says about its streams; about a stream that nobody reads any more it may be late. */
  receive(session: LogSession, message: LogsChunk | LogsGap | LogsEnd): void {
    const stream = this.#onWire.get(message.stream);
    if (stream?.nodeId !== session.nodeId) return;
    switch (message.type) {
      case 'logs_chunk':
        this.#chunk(stream, session, message);
        break;
      case 'logs_gap':
        push(stream, { kind: 'gap', dropped: message.dropped });
        break;
      case 'logs_end':
        this.#close(stream);
        push(stream, { kind: 'end', failure: message.failure });
    }
  }

  #begin(nodeId: string, request: LogRequest): Stream {
    this.#opened += 1;
    const stream: Stream = {
      ...{ id: `s${this.#opened}`, nodeId, request, cursor: request.cursor, parts: [], waiting: 0, owed: 0 },
      ...{ wire: undefined, absence: undefined, notify: () => undefined },
    };
    this.#streams.add(stream);
    const session = this.#sessions.get(nodeId);
    if (session) this.#open(stream, session);
    else this.#await(stream);
    return stream;
  }

  /** A name of its own in each session, so that what is left over from an earlier one is not taken for this one. */
  #open(stream: Stream, session: LogSession): void {
    if (ended(stream)) return;
    stream.absence?.abort();
    this.#close(stream);
    this.#opened += 1;
    stream.wire = `${stream.id}-${this.#opened}`;
    this.#onWire.set(stream.wire, stream);
    stream.owed = 0;
    const { source, tail, follow } = stream.request;
    const bytes = Math.max(this.#window - stream.waiting, 0);
    session.connection.send({
      ...{ type: 'logs_open', stream: stream.wire, source, cursor: stream.cursor },
      ...{ tail: stream.cursor === null ? tail : null, follow, bytes },
    });
  }

  #chunk(stream: Stream, { connection }: LogSession, { cursor, block }: LogsChunk): void {
    const cost = costOf(block);
    // A message that was begun within the credit may end beyond it; twice the window nobody sends by mistake.
    if (stream.waiting + cost > 2 * this.#window && stream.waiting > 0) {
      connection.fault('more log than there was credit for');
      if (stream.wire !== undefined) connection.send({ type: 'logs_close', stream: stream.wire });
      this.#close(stream);
      const failure = new AgentError('internal', { reason: 'The node sent more than was asked for.' }).toFailure();
      push(stream, { kind: 'end', failure });
      return;
    }
    stream.waiting += cost;
    stream.cursor = cursor;
    push(stream, { kind: 'entries', cursor, entries: block });
  }

  #taken(stream: Stream, part: LogPart): void {
    if (part.kind !== 'entries') return;
    const cost = costOf(part.entries);
    stream.waiting -= cost;
    stream.owed += cost;
    if (stream.wire === undefined || stream.owed < this.#window / 4) return;
    const session = this.#sessions.get(stream.nodeId);
    session?.connection.send({ type: 'logs_credit', stream: stream.wire, bytes: stream.owed });
    stream.owed = 0;
  }

  /** Ends the stream if the node does not come back in time. */
  #await(stream: Stream): void {
    if (ended(stream)) return;
    this.#close(stream);
    const absence = new AbortController();
    stream.absence = absence;
    const end: LogPart = { kind: 'end', failure: new AgentError('node.away').toFailure() };
    void this.#clock.pause(this.#patienceMs, absence.signal).then(
      () => push(stream, end),
      () => undefined,
    );
  }

  #close(stream: Stream): void {
    if (stream.wire !== undefined) this.#onWire.delete(stream.wire);
    stream.wire = undefined;
  }

  #drop(stream: Stream): void {
    const { wire } = stream;
    this.#streams.delete(stream);
    stream.absence?.abort();
    this.#close(stream);
    if (wire !== undefined) this.#sessions.get(stream.nodeId)?.connection.send({ type: 'logs_close', stream: wire });
  }

  #of(nodeId: string): Stream[] {
    return [...this.#streams].filter((stream) => stream.nodeId === nodeId);
  }
}

function push(stream: Stream, part: LogPart): void {
  if (ended(stream)) return;
  const last = stream.parts.at(-1);
  // Gaps need no credit, so they must not pile up either.
  if (part.kind === 'gap' && last?.kind === 'gap') stream.parts[stream.parts.length - 1] = bothGaps(last, part);
  else stream.parts.push(part);
  stream.notify();
}

type Gap = Extract<LogPart, { kind: 'gap' }>;

function bothGaps(one: Gap, other: Gap): Gap {
  return { kind: 'gap', dropped: one.dropped === null || other.dropped === null ? null : one.dropped + other.dropped };
}

function ended({ parts }: Stream): boolean {
  return parts.at(-1)?.kind === 'end';
}

function costOf(entries: readonly StreamedEntry[]): number {
  return entries.reduce((sum, entry) => sum + creditOf(entry), 0);
}

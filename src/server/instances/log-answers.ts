/** Logs as server-sent events, whatever they are the logs of: who reads shares the seats with all who do. */
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { maxCursor } from '../../contract/session-messages.ts';
import type { Who } from '../http/route.ts';
import { Seats } from '../http/seats.ts';
import type { LogPart, LogRequest } from '../hub/log-relay.ts';

/** A reader and the host behind it cost memory each. */
const readers = { what: 'logs', all: 200, each: 50 } as const;

/** Where to begin, as every query for a log says it. */
export const logStart = {
  tail: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 100_000,
      description: 'Last entries, of each service or step; all if absent.',
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      maxLength: maxCursor,
      description: 'Go on behind this entry. `Last-Event-ID` says the same and wins.',
    }),
  ),
};

interface LogAsked {
  readonly who: Who;
  readonly query: { readonly tail?: number; readonly cursor?: string; readonly follow?: boolean };
  readonly headers: IncomingHttpHeaders;
  /** Aborts where whoever asked is gone. */
  readonly signal: AbortSignal;
}

type Start = Omit<LogRequest, 'source'>;

export class LogAnswers {
  readonly #seats = new Seats(readers);

  /** `server.busy` where nobody more can read. */
  answer(
    { who, query, headers, signal: over }: LogAsked,
    read: (start: Start, signal: AbortSignal) => AsyncGenerator<LogPart, void, void>,
  ) {
    const last = headers['last-event-id'];
    const cursor = (typeof last === 'string' && last !== '' ? last.slice(0, maxCursor) : query.cursor) ?? null;
    const seat = this.#seats.take(who);
    const signal = AbortSignal.any([over, seat.lost]);
    const start = { cursor, tail: query.tail ?? null, follow: query.follow ?? false };
    const body = Readable.from(messagesOf(read(start, signal)));
    body.once('close', seat.leave);
    return { contentType: 'text/event-stream; charset=utf-8', body };
  }
}

async function* messagesOf(parts: AsyncGenerator<LogPart, void, void>): AsyncGenerator<string> {
  yield ': connected\n\n';
  for await (const part of parts) {
    switch (part.kind) {
      case 'entries':
        yield `id: ${part.cursor}\nevent: entries\ndata: ${JSON.stringify(part.entries)}\n\n`;
        break;
      case 'gap':
        yield `event: gap\ndata: ${JSON.stringify({ dropped: part.dropped })}\n\n`;
        break;
      case 'end':
        yield `event: end\ndata: ${JSON.stringify({ failure: part.failure, notice: part.notice })}\n\n`;
    }
  }
}

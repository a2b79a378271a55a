/** What the control plane says of itself: health, its interface, its metrics, and what happens. */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { identifierPattern } from '../../contract/identifiers.ts';
import type { ServerContext } from '../context.ts';
import { Event } from '../db/entities/event.ts';
import { everybody, platform, projectFilter } from '../http/access.ts';
import { eventStream } from '../http/event-stream.ts';
import type { ServerMetrics } from '../http/metrics.ts';
import { openRoute, type Route, route, type Streamed } from '../http/route.ts';
import { Seats } from '../http/seats.ts';

/** Streams that may be open at once: each holds a connection and reads the store after every commit. */
const streams = { what: 'event streams', all: 500, each: 100 } as const;

const EventQuery = Type.Object(
  {
    project_id: Type.Optional(Type.String({ pattern: identifierPattern, description: 'Only of this project.' })),
    subject_id: Type.Optional(Type.String({ pattern: identifierPattern, description: 'Only about this thing.' })),
    after: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Begin behind this event. `Last-Event-ID` says the same and wins.' }),
    ),
  },
  { additionalProperties: false },
);

export function systemRoutes({ store }: ServerContext, metrics: ServerMetrics): Route[] {
  const seats = new Seats(streams);
  return [
    openRoute({
      ...{ method: 'GET', path: '/healthz', tag: 'system', summary: 'Answers while the process and its store work.' },
      answer: Type.Object({ status: Type.Literal('ok', { description: 'Always.' }) }, { additionalProperties: false }),
      read: async (_asked, tx) => {
        await tx.events.range();
        return { status: 'ok' as const };
      },
    }),
    route({
      ...{ method: 'GET', path: '/metrics', tag: 'system', summary: 'Metrics as Prometheus text.' },
      allow: platform,
      answer: Type.String({ description: 'Prometheus text.' }),
      produces: 'text/plain',
      stream: async () => ({
        contentType: metrics.registry.contentType,
        body: Readable.from([await metrics.text(store)]),
      }),
    }),
    route({
      ...{ method: 'GET', path: '/api/v1/events', tag: 'events' },
      summary:
        'Events as server-sent events, from now on or behind one that was seen; `gap` tells what is lost, `reset` that it begins anew.',
      allow: everybody,
      query: EventQuery,
      answer: Event,
      stream: async ({ who, query, headers, signal }): Promise<Streamed> => {
        const { subject_id } = query;
        const only = { ...projectFilter(who, query.project_id), ...(subject_id === undefined ? {} : { subject_id }) };
        const after = cursorOf(headers['last-event-id']) ?? query.after;
        const seat = seats.take(who);
        const streamed = eventStream({ store, signal: AbortSignal.any([signal, seat.lost]), after, only });
        streamed.body.once('close', seat.leave);
        return streamed;
      },
    }),
  ];
}

function cursorOf(header: unknown): number | undefined {
  if (header === undefined || header === '') {
    return undefined;
  }
  if (typeof header !== 'string' || !/^\d{1,15}$/.test(header)) {
    const message = 'Last-Event-ID must be the id of an event';
    throw new AgentError('request.invalid', { errors: [{ path: '', code: 'last_event_id', message }] });
  }
  return Number(header);
}

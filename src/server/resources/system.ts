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

/** Streams that may be open at once: each holds a connection and reads the store after every commit. */
const maxStreams = 500;

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
  let open = 0;
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
      summary: 'Events as server-sent events, from now on or behind one that was seen; `gap` tells what is lost.',
      allow: everybody,
      query: EventQuery,
      answer: Event,
      stream: async ({ who, query, headers, signal }): Promise<Streamed> => {
        if (open >= maxStreams) {
          throw new AgentError('server.busy', { reason: `${maxStreams} event streams are open.` });
        }
        const { subject_id } = query;
        const only = { ...projectFilter(who, query.project_id), ...(subject_id === undefined ? {} : { subject_id }) };
        const streamed = eventStream({ store, signal, after: cursorOf(headers['last-event-id']) ?? query.after, only });
        open += 1;
        streamed.body.once('close', () => {
          open -= 1;
        });
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

/**
 * Reads what the control plane streams: events and logs, as server-sent events.
 *
 * A stream that breaks is taken up again behind the last thing that was seen, so nothing is lost or shown twice.
 */
import { AgentError } from '../../contract/failures.ts';
import { pause } from '../../kit/backoff.ts';
import { readLines } from '../../kit/lines.ts';
import type { ControlPlaneClient, Query } from './client.ts';

/** An event is a row of the store, far below this. */
const maxLineBytes = 4 * 1024 * 1024;

export interface ServerEvent {
  readonly id: string;
  readonly type: string;
  readonly data: string;
}

/**
 * What is sent behind `after`, and from then on, over any number of connections, until `signal` aborts. Whoever knows the
 * last one when it comes stops reading.
 */
export async function* followEvents(
  client: ControlPlaneClient,
  path: string,
  query: Query,
  { after, signal }: { after?: string | undefined; signal: AbortSignal },
): AsyncGenerator<ServerEvent> {
  let last = after;
  for (let delay = 250; ; delay = Math.min(delay * 2, 10_000)) {
    try {
      const headers: Record<string, string> = last === undefined ? {} : { 'last-event-id': last };
      const body = await client.open(path, query, headers, signal);
      for await (const event of parseEvents(body)) {
        delay = 250;
        last = event.id === '' ? last : event.id;
        yield event;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!isBroken(error)) {
        throw error;
      }
    }
    await pause(delay, signal);
  }
}

/** True for a connection that was lost, or could not be made for now. */
function isBroken(error: unknown): boolean {
  return error instanceof AgentError
    ? error.code === 'server.unreachable' || error.code === 'server.busy'
    : error instanceof TypeError;
}

/** The events of one connection. Comments, which keep it alive, are left out. */
export async function* parseEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  let event = { id: '', type: 'message', data: [] as string[] };
  for await (const line of readLines(body, maxLineBytes)) {
    if (line === '') {
      if (event.data.length > 0) {
        yield { id: event.id, type: event.type, data: event.data.join('\n') };
      }
      event = { id: event.id, type: 'message', data: [] };
      continue;
    }
    const [, field = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === 'id') event.id = value;
    else if (field === 'event') event.type = value;
    else if (field === 'data') event.data.push(value);
  }
}

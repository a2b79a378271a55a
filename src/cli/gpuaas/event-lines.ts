/**
 * Reads what the control plane streams: events and logs, as server-sent events.
 *
 * A stream that breaks is taken up again behind the last thing that was seen, so nothing is lost or shown twice.
 */
import { pause } from '../../kit/backoff.ts';
import { readLines } from '../../kit/lines.ts';
import { tell, tellJson } from '../output.ts';
import { type ControlPlaneClient, isPassing, type Query } from './client.ts';

export interface FollowOptions {
  /** Id of the last thing that was seen. */
  readonly after?: string | undefined;
  readonly signal: AbortSignal;
  /** True for progress as JSON. */
  readonly json: boolean;
  /** True where another stream of the same command says that the control plane is away. */
  readonly isQuiet?: boolean;
}

/** An event is a row of the store, far below this. */
const maxLineBytes = 4 * 1024 * 1024;

export interface ServerEvent {
  readonly id: string;
  readonly type: string;
  readonly data: string;
}

/**
 * What is sent behind `after`, and from then on, over any number of connections, until `signal` aborts. Whoever knows the
 * last one when it comes stops reading. A connection that was lost shows as a `TypeError`.
 */
export async function* followEvents(
  client: ControlPlaneClient,
  path: string,
  query: Query,
  { after, signal, json, isQuiet = false }: FollowOptions,
): AsyncGenerator<ServerEvent> {
  let last = after;
  let isAway = false;
  const tellAway = (now: boolean) => {
    if (now !== isAway && !isQuiet) say(now ? gone : back, json);
    isAway = now;
  };
  /** True while whoever reads has the last event: where they stop there, a connection that is broken by then is of no account. */
  let isLeft = false;
  for (let delay = 250; ; delay = Math.min(delay * 2, 10_000)) {
    try {
      const headers: Record<string, string> = last === undefined ? {} : { 'last-event-id': last };
      const body = await client.open(path, query, headers, signal);
      tellAway(false);
      for await (const event of parseEvents(body)) {
        delay = 250;
        last = event.id === '' ? last : event.id;
        isLeft = true;
        yield event;
        isLeft = false;
      }
    } catch (error) {
      if (isLeft) return;
      signal.throwIfAborted();
      if (isPassing(error)) tellAway(true);
      else if (!(error instanceof TypeError)) throw error;
    }
    await pause(delay, signal);
  }
}

const gone = 'The control plane does not answer; this goes on when it does.';
const back = 'The control plane is back.';

function say(message: string, json: boolean): void {
  if (json) tellJson({ type: 'stream', message });
  else tell(`… ${message}`);
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

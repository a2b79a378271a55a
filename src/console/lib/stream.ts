/**
 * A stream of server-sent events that survives a lost connection and a restarted control plane.
 *
 *   connecting ─▶ open ─▶ lost ─▶ connecting …      until it is aborted, refused, or ended by the event `end`
 *
 * Read by `fetch`, as an EventSource cannot send the page half of the session. It comes back with the id of the last
 * message, so nothing is missed. A connection on which nothing arrives for longer than the control plane is ever silent
 * counts as lost: a half-open one would stay so for ever.
 */
import { ApiError, request } from './api.ts';
import { eventParser } from './event-parser.ts';

export interface StreamListener {
  /** `data` is parsed JSON. */
  message(event: string, id: string, data: unknown): void;
  state(state: 'connecting' | 'open' | 'lost'): void;
  /** The control plane will not have it, now or later: it is not tried again. */
  refused?(error: ApiError): void;
}

export interface StreamOptions {
  readonly signal: AbortSignal;
  readonly lastEventId?: string;
}

const firstWaitMs = 250;
const longestWaitMs = 10_000;
/** Three times the longest silence of the control plane. */
const longestSilenceMs = 45_000;

/** Reads a stream until it is over. Comes back by itself; the state tells how it goes. */
export function openStream(path: string, on: StreamListener, { signal, lastEventId = '' }: StreamOptions): void {
  void keepReading(path, on, signal, lastEventId);
}

async function keepReading(path: string, on: StreamListener, signal: AbortSignal, from: string): Promise<void> {
  let lastId = from;
  let waitMs = firstWaitMs;
  while (!signal.aborted) {
    on.state('connecting');
    try {
      for await (const { event, id, data } of messages(path, lastId, signal, () => on.state('open'))) {
        waitMs = firstWaitMs;
        lastId = id;
        on.message(event, id, JSON.parse(data));
        if (event === 'end') return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && isFinal(error)) return on.refused?.(error);
    }
    if (signal.aborted) return;
    on.state('lost');
    await pause(waitMs * (0.75 + Math.random() / 2), signal);
    waitMs = Math.min(waitMs * 2, longestWaitMs);
  }
}

/** Too many requests, too many streams and trouble of the server pass; other refusals stay. */
function isFinal({ status }: ApiError): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

async function* messages(path: string, lastId: string, outer: AbortSignal, opened: () => void) {
  const silent = new AbortController();
  const signal = AbortSignal.any([outer, silent.signal]);
  const headers = { accept: 'text/event-stream', ...(lastId === '' ? {} : { 'last-event-id': lastId }) };
  let timer = setTimeout(() => silent.abort(), longestSilenceMs);
  try {
    const { body } = await request(path, { headers, signal });
    if (!body) return;
    opened();
    const parse = eventParser();
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), longestSilenceMs);
      // A message without an id leaves the last one standing.
      for (const message of parse(value)) yield message.id === '' ? { ...message, id: lastId } : message;
    }
  } finally {
    clearTimeout(timer);
    silent.abort();
  }
}

/** Ends early when the browser finds its network again. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener('online', end);
      signal.removeEventListener('abort', end);
      done();
    };
    const timer = setTimeout(end, ms);
    addEventListener('online', end);
    signal.addEventListener('abort', end);
  });
}

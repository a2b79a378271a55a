/**
 * Events as server-sent events. A client that comes back with `Last-Event-ID` misses nothing and gets nothing twice,
 * since numbers follow the order of commits. A slow client is waited for: what it has not read yet stays in the
 * store. One that takes nothing for a minute is dropped, and may come back.
 *
 * A client that has seen a higher number than there is has seen it before this store was put back from a backup: numbers are
 * given again since, to other events. Nobody knows which of them it has seen, so it is told, and gets everything anew.
 */
import { Readable } from 'node:stream';
import { systemClock } from '../../kit/clock.ts';
import { Bell } from '../db/bell.ts';
import type { Event } from '../db/entities/event.ts';
import type { EventQuery, Store } from '../db/store.ts';
import type { Streamed } from './route.ts';

const batch = 200;

export interface EventStreamOptions {
  readonly store: Store;
  readonly signal: AbortSignal;
  /** Begin behind this event; undefined begins with what comes from now on. */
  readonly after: number | undefined;
  readonly only: Pick<EventQuery, 'project_id' | 'subject_id'>;
  /** Longest silence: proxies take a silent connection for a dead one. Default 15 s. */
  readonly keepAliveMs?: number;
}

export function eventStream(options: EventStreamOptions): Streamed {
  return { contentType: 'text/event-stream; charset=utf-8', body: Readable.from(messages(options)) };
}

async function* messages(options: EventStreamOptions): AsyncGenerator<string> {
  const { store, signal, after, only, keepAliveMs = 15_000 } = options;
  const bell = new Bell(store, systemClock, ({ lastEvent }) => lastEvent !== undefined);
  let saidAt = performance.now();
  try {
    const { first, last } = await store.read((tx) => tx.events.range());
    let cursor = after ?? last;
    yield ': connected\n\n';
    if (after !== undefined && after + 1 < first) {
      yield message('gap', first - 1, { from: after + 1, to: first - 1 });
      cursor = first - 1;
    }
    if (cursor > last) {
      cursor = Math.max(first - 1, 0);
      yield message('reset', cursor, { seen: after, last });
    }
    while (!signal.aborted) {
      bell.reset();
      const events = await store.read((tx) => tx.events.list({ ...only, after: cursor, limit: batch }));
      for (const event of events) {
        if (signal.aborted) return;
        yield message(event.type, event.seq, event);
        cursor = event.seq;
      }
      if (events.length > 0) {
        saidAt = performance.now();
        continue;
      }
      // Events of others ring as well, and nothing is said of them here.
      const left = saidAt + keepAliveMs - performance.now();
      if (left <= 0 || !(await bell.rings(left, signal))) {
        yield signal.aborted ? '' : ': still here\n\n';
        saidAt = performance.now();
      }
    }
  } finally {
    bell.stop();
  }
}

function message(type: string, seq: number, data: Event | object): string {
  return `id: ${seq}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** A stream may stay open for days, and its token may be taken back, or its session closed, within the hour. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Store } from '../db/store.ts';
import { callerOf } from './callers.ts';

/** How late an end may be noticed that nobody made. */
const expiryCheckMs = 30_000;

export interface WhileValidOptions {
  readonly store: Store;
  /** Of its request: what the caller proves itself with. */
  readonly headers: IncomingHttpHeaders;
  /** Aborts when the request is over. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Aborts when the request is over, and as soon as its token or session is over. */
export function whileValid({ store, headers, signal, now }: WhileValidOptions): AbortSignal {
  const invalid = new AbortController();
  const look = () =>
    void store
      .read((tx) => callerOf(headers, tx, now()))
      // Also where the store cannot be read: nobody knows then whether it is valid.
      .catch(() => invalid.abort());
  const stopListening = store.onCommit(({ changed }) => {
    if (changed.has('api_tokens') || changed.has('sessions')) look();
  });
  const timer = setInterval(look, expiryCheckMs).unref();
  const over = AbortSignal.any([signal, invalid.signal]);
  const stop = () => {
    stopListening();
    clearInterval(timer);
  };
  if (over.aborted) stop();
  else over.addEventListener('abort', stop, { once: true });
  return over;
}

/** A stream may stay open for days, and its token may be taken back within the hour. */
import type { Store } from '../db/store.ts';
import { whoIs } from './tokens.ts';

/** How late the end of a token may be noticed that nobody took back. */
const expiryCheckMs = 30_000;

export interface WhileValidOptions {
  readonly store: Store;
  readonly authorization: string | undefined;
  /** Aborts when the request is over. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Aborts when the request is over, and as soon as its token is taken back or has expired. */
export function whileValid({ store, authorization, signal, now }: WhileValidOptions): AbortSignal {
  const invalid = new AbortController();
  const look = () =>
    void store
      .read((tx) => whoIs(authorization, tx, now()))
      // Also where the store cannot be read: nobody knows then whether the token is valid.
      .catch(() => invalid.abort());
  const stopListening = store.onCommit(({ changed }) => {
    if (changed.has('api_tokens')) look();
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

/** A time as people speak of it, exact in its tooltip, and kept true while it is looked at. */
import { useEffect } from 'preact/hooks';
import { timeSince } from '../lib/format.ts';
import { shared, useShared } from '../lib/store.ts';

/** One clock for all times of the page: not one timer for each of five hundred rows. */
const now = shared(Date.now());
const tickMs = 5000;
let watchers = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/** The time, anew every few seconds. */
export function useNow(): number {
  useEffect(() => {
    watchers += 1;
    timer ??= setInterval(() => now.set(Date.now()), tickMs);
    return () => {
      watchers -= 1;
      if (watchers > 0) return;
      clearInterval(timer);
      timer = undefined;
    };
  }, []);
  return useShared(now);
}

export interface TimestampProps {
  /** RFC 3339. */
  readonly at: string;
  /** The whole date and time instead of how long ago. */
  readonly exact?: boolean;
}

export function Timestamp({ at, exact = false }: TimestampProps) {
  const time = useNow();
  const date = new Date(at);
  // The clock of the page ticks slowly: what is newer than its last tick is not in the future.
  const since = timeSince(date.getTime(), Math.max(time, Math.min(Date.now(), date.getTime())));
  return (
    <time dateTime={at} title={exact ? since : date.toLocaleString()}>
      {exact ? date.toLocaleString() : since}
    </time>
  );
}

/**
 * What the control plane says about a thing, kept fresh: asked for again whenever an event tells that it may have changed.
 * There is never more than one request for it at a time, and a flood of events leads to a few requests only. What was seen
 * last stays while a new look fails, and is marked as stale.
 */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, api } from './api.ts';
import { cached, keepAnswer } from './cache.ts';
import { onEvent } from './live.ts';

export interface Resource<T> {
  readonly data: T | undefined;
  readonly error: ApiError | undefined;
  /** True while what is shown may be old, as it could not be asked for. */
  readonly stale: boolean;
  /** Asks again now. */
  reload(): void;
}

export interface ResourceOptions {
  /** Ids of things, or kinds like `app_instance`: an event about one of them asks again. Default: none. */
  readonly subjects?: readonly string[];
  /** Asks again after so many milliseconds, for what changes without an event. */
  readonly everyMs?: number;
}

/** Between two looks that events lead to. */
const restMs = 300;

interface Seen<T> {
  readonly path: string | null;
  readonly data: T | undefined;
  readonly error: ApiError | undefined;
}

export function useResource<T>(path: string | null, { subjects = [], everyMs }: ResourceOptions = {}): Resource<T> {
  const [seen, setSeen] = useState<Seen<T>>(() => ({ path, data: cached(path) as T | undefined, error: undefined }));
  const again = useRef<() => void>(() => undefined);
  const key = subjects.join(' ');

  useEffect(() => {
    if (path === null) return;
    const look = looking(path, {
      good: (data) => setSeen({ path, data: data as T, error: undefined }),
      bad: (error) => setSeen((last) => ({ path, data: last.path === path ? last.data : undefined, error })),
    });
    again.current = look.now;
    look.now();
    const wanted = new Set(key.split(' '));
    const stop = onEvent((event) => {
      if (!event || wanted.has(event.subject.id) || wanted.has(event.subject.kind)) look.soon();
    });
    const timer = everyMs === undefined ? undefined : setInterval(look.soon, everyMs);
    return () => {
      stop();
      look.stop();
      clearInterval(timer);
    };
  }, [path, key, everyMs]);

  const reload = useCallback(() => again.current(), []);
  // Of another path: not of what is asked for now.
  if (seen.path !== path) return { data: cached(path) as T | undefined, error: undefined, stale: false, reload };
  const { data, error } = seen;
  return { data, error, stale: data !== undefined && error !== undefined, reload };
}

interface Answered {
  good(data: unknown): void;
  bad(error: ApiError): void;
}

/** Asks for one path, one request at a time: whoever asks meanwhile is served by one more request after it. */
function looking(path: string, answered: Answered) {
  const gone = new AbortController();
  let isAsking = false;
  let isWanted = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const now = async () => {
    clearTimeout(timer);
    timer = undefined;
    isWanted = isAsking;
    if (isAsking || gone.signal.aborted) return;
    isAsking = true;
    try {
      const data = await api.get<unknown>(path, gone.signal);
      if (gone.signal.aborted) return;
      keepAnswer(path, data);
      answered.good(data);
    } catch (error) {
      if (gone.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      answered.bad(error);
    } finally {
      isAsking = false;
      if (isWanted) soon();
    }
  };
  const soon = () => {
    if (isAsking) isWanted = true;
    else if (!gone.signal.aborted) timer ??= setTimeout(now, restMs);
  };
  return {
    now: () => void now(),
    soon,
    stop: () => {
      gone.abort();
      clearTimeout(timer);
    },
  };
}

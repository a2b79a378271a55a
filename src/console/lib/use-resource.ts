/**
 * What the control plane says about a thing, kept fresh: asked for again whenever an event tells that it may have changed.
 * There is never more than one request for it at a time, and a flood of events leads to a few requests only. What was seen
 * last stays while a new look fails, and is marked as stale.
 */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { type ApiError, api } from './api.ts';
import { cached, keepAnswer } from './cache.ts';
import { onEvent } from './live.ts';
import { looking } from './looking.ts';

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
    const look = looking(
      async (signal) => {
        const data = await api.get<T>(path, signal);
        if (signal.aborted) return;
        keepAnswer(path, data);
        setSeen({ path, data, error: undefined });
      },
      (error) => setSeen((last) => ({ path, data: last.path === path ? last.data : undefined, error })),
    );
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

/** What happened to an instance or a job, from its beginning, kept up to date while the page is open. */
import { useEffect, useState } from 'preact/hooks';
import { type ApiError, api } from '../../lib/api.ts';
import { onEvent } from '../../lib/live.ts';
import { looking } from '../../lib/looking.ts';
import { type InstanceEvent, withEvents } from './instance-events.ts';

export interface EventsSoFar {
  /** Oldest first. */
  readonly events: readonly InstanceEvent[];
  /** True once all of them are here. */
  readonly isLoaded: boolean;
  readonly error: ApiError | undefined;
}

const pageSize = 1000;

/** `path`: of the thing. */
export function useEventsOf(path: string, id: string): EventsSoFar {
  const [soFar, setSoFar] = useState<EventsSoFar>(nothing);
  useEffect(() => {
    setSoFar(nothing);
    return followed(path, id, setSoFar);
  }, [path, id]);
  return soFar;
}

const nothing: EventsSoFar = { events: [], isLoaded: false, error: undefined };

/** Returns how to stop. */
function followed(path: string, id: string, tell: (soFar: EventsSoFar) => void): () => void {
  let events: readonly InstanceEvent[] = [];
  const look = looking(
    async (signal) => {
      for (let isFull = true; isFull; ) {
        const after = events.at(-1)?.seq ?? 0;
        const { items } = await api.get<{ items: InstanceEvent[] }>(
          `${path}/events?after=${after}&limit=${pageSize}`,
          signal,
        );
        events = withEvents(events, items);
        isFull = items.length === pageSize;
      }
      if (!signal.aborted) tell({ events, isLoaded: true, error: undefined });
    },
    (error) => tell({ events, isLoaded: events.length > 0, error }),
  );
  const stop = onEvent((event) => {
    // Numbers are given again where the store was put back from a backup: then all that is known is asked for anew.
    if (!event) events = [];
    if (!event || event.subject.id === id) look.soon();
  });
  look.now();
  return () => {
    look.stop();
    stop();
  };
}

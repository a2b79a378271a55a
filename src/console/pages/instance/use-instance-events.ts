/** What happened to an instance, from its beginning, kept up to date while the page is open. */
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api } from '../../lib/api.ts';
import { onEvent } from '../../lib/live.ts';
import { type InstanceEvent, withEvents } from './instance-events.ts';

export interface EventsSoFar {
  /** Oldest first. */
  readonly events: readonly InstanceEvent[];
  /** True once all of them are here. */
  readonly isLoaded: boolean;
  readonly error: ApiError | undefined;
}

const pageSize = 1000;
/** Between two looks, so that a flood of events leads to a few of them. */
const restMs = 250;

export function useInstanceEvents(id: string): EventsSoFar {
  const [soFar, setSoFar] = useState<EventsSoFar>(nothing);
  useEffect(() => {
    setSoFar(nothing);
    return followed(id, setSoFar);
  }, [id]);
  return soFar;
}

const nothing: EventsSoFar = { events: [], isLoaded: false, error: undefined };

/** Returns how to stop. */
function followed(id: string, tell: (soFar: EventsSoFar) => void): () => void {
  const gone = new AbortController();
  let events: readonly InstanceEvent[] = [];
  let isLooking = false;
  let isWanted = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const look = async () => {
    timer = undefined;
    isLooking = true;
    isWanted = false;
    try {
      for (let isFull = true; isFull; ) {
        const path = `/api/v1/app-instances/${encodeURIComponent(id)}/events`;
        const after = events.at(-1)?.seq ?? 0;
        const { items } = await api.get<{ items: InstanceEvent[] }>(
          `${path}?after=${after}&limit=${pageSize}`,
          gone.signal,
        );
        events = withEvents(events, items);
        isFull = items.length === pageSize;
      }
      tell({ events, isLoaded: true, error: undefined });
    } catch (error) {
      if (gone.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      tell({ events, isLoaded: events.length > 0, error });
    } finally {
      isLooking = false;
      if (isWanted) soon();
    }
  };
  const soon = () => {
    isWanted = true;
    if (!isLooking && !gone.signal.aborted) timer ??= setTimeout(() => void look(), restMs);
  };
  const stop = onEvent((event) => {
    // Numbers are given again where the store was put back from a backup: then all that is known is asked for anew.
    if (!event) events = [];
    if (!event || event.subject.id === id) soon();
  });
  void look();
  return () => {
    gone.abort();
    stop();
    clearTimeout(timer);
  };
}

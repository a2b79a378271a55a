/** What happened, newest last, with a search and whatever else narrows it; it stays at its end while whoever reads is there. */
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { counted } from '../../lib/format.ts';
import { Button } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Loading } from '../../parts/loading.tsx';
import { SearchBox } from '../../parts/search-box.tsx';
import { type EventKind, matches, type ShownEvent, shownEvents } from './instance-events.ts';
import type { EventsSoFar } from './use-events-of.ts';

/** Rows that are in the page from the start; more come by a button. */
const firstRows = 200;

interface EventsBoxProps {
  readonly soFar: EventsSoFar;
  /** Only these; all for null. */
  readonly kind: EventKind | null;
  /** One event, as an entry of a list. */
  readonly row: (shown: ShownEvent) => ComponentChildren;
  /** Beside the search. */
  readonly children?: ComponentChildren;
}

export function EventsBox({ soFar: { events, isLoaded, error }, kind, row, children }: EventsBoxProps) {
  const [text, setText] = useState('');
  const [rows, setRows] = useState(firstRows);
  const found = useMemo(
    () => shownEvents(events).filter((each) => matches(each, { kind, text })),
    [events, kind, text],
  );
  const end = useFollowing(found.length);
  if (!isLoaded) return error ? <FailureView error={error} title="The events cannot be shown." /> : <Loading />;
  const shown = found.slice(-rows);
  return (
    <div class="table-box">
      <div class="table-tools">
        <SearchBox what="events" value={text} onValue={setText} />
        {children}
        <span class="table-count" role="status">
          {counted(found.length, 'event')}
        </span>
      </div>
      {error && <p class="notice notice-warning events-old">These may not be all: {error.message}</p>}
      {found.length === 0 ? (
        <Empty title={events.length === 0 ? 'Nothing has happened yet.' : 'No event is like that.'} />
      ) : (
        <>
          {shown.length < found.length && (
            <div class="events-more">
              <Button tone="quiet" onClick={() => setRows(rows + 1000)}>
                Show earlier events ({found.length - shown.length})
              </Button>
            </div>
          )}
          <ol class="events" aria-label="Events, newest last">
            {shown.map(row)}
          </ol>
        </>
      )}
      <div ref={end} />
    </div>
  );
}

/** Stays at the end of the page while whoever reads it is there. */
function useFollowing(count: number) {
  const end = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(false);
  useEffect(() => {
    const look = () => {
      const bottom = end.current?.getBoundingClientRect().bottom ?? 0;
      isAtEnd.current = bottom <= innerHeight + 40 && scrollY > 0;
    };
    addEventListener('scroll', look, { passive: true });
    return () => removeEventListener('scroll', look);
  }, []);
  useEffect(() => {
    if (isAtEnd.current) end.current?.scrollIntoView({ block: 'end' });
  }, [count]);
  return end;
}

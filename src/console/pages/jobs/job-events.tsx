/** What happened to a job, newest last. */
import { useMemo, useState } from 'preact/hooks';
import { counted } from '../../lib/format.ts';
import { Button } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Loading } from '../../parts/loading.tsx';
import { SearchBox } from '../../parts/search-box.tsx';
import { clockText } from '../instance/amounts.ts';
import { cleanLine } from '../instance/clean-text.ts';
import { EventFacts } from '../instance/events-tab.tsx';
import { actorWords, matches, shownEvents } from '../instance/instance-events.ts';
import type { EventsSoFar } from '../instance/use-events-of.ts';

/** Rows that are in the page from the start; more come by a button. */
const firstRows = 200;

export function JobEvents({ events: { events, isLoaded, error } }: { readonly events: EventsSoFar }) {
  const [text, setText] = useState('');
  const [rows, setRows] = useState(firstRows);
  const found = useMemo(
    () => shownEvents(events).filter((each) => matches(each, { kind: null, text })),
    [events, text],
  );
  if (!isLoaded) return error ? <FailureView error={error} title="The events cannot be shown." /> : <Loading />;
  const shown = found.slice(-rows);
  return (
    <div class="table-box">
      <div class="table-tools">
        <SearchBox what="events" value={text} onValue={setText} />
        <span class="table-count" role="status">
          {counted(found.length, 'event')}
        </span>
      </div>
      {error && <p class="notice notice-warning events-old">These may not be all: {error.message}</p>}
      {found.length === 0 && (
        <Empty title={events.length === 0 ? 'Nothing has happened yet.' : 'No event is like that.'} />
      )}
      {shown.length < found.length && (
        <div class="events-more">
          <Button tone="quiet" onClick={() => setRows(rows + 1000)}>
            Show earlier events ({found.length - shown.length})
          </Button>
        </div>
      )}
      <ol class="events" aria-label="Events, newest last">
        {shown.map(({ event, repeats }) => (
          <li key={event.seq} class="event">
            <time dateTime={event.time} title={new Date(event.time).toLocaleString()}>
              {clockText(event.time)}
            </time>
            <span class="event-kind muted">
              {cleanLine(event.type.replace(/^jobs?\./, '').replaceAll(/[._]/g, ' '))}
            </span>
            <div class="event-text">
              <p>
                {cleanLine(event.message)}
                {repeats > 0 && <span class="muted"> (told {repeats + 1} times)</span>}
              </p>
              <EventFacts shown={event} />
            </div>
            <span class="event-more muted">{actorWords(event.actor)}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}

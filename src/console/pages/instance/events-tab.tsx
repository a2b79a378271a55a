/** What happened, newest last: states, phases, progress, what the installer said, and what the node reports (G-143). */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { counted, words } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { Badge } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FailureView } from '../../parts/failure-view.tsx';
import { Filter } from '../../parts/field.tsx';
import { Loading } from '../../parts/loading.tsx';
import { Facts } from '../../parts/page.tsx';
import { SearchBox } from '../../parts/search-box.tsx';
import { clockText } from './amounts.ts';
import { cleanLine } from './clean-text.ts';
import {
  actorWords,
  dataText,
  type EventKind,
  eventKinds,
  kindLabels,
  matches,
  type ShownEvent,
  shownEvents,
} from './instance-events.ts';
import { Excerpt } from './instance-head.tsx';
import type { EventsSoFar } from './use-events-of.ts';

/** Rows that are in the page from the start; more come by a button. */
const firstRows = 200;

export interface EventsTabProps {
  readonly instance: InstanceView;
  readonly events: EventsSoFar;
}

export function EventsTab({ instance, events: { events, isLoaded, error } }: EventsTabProps) {
  const [kind, setKind] = useState<EventKind | ''>('');
  const [text, setText] = useState('');
  const [rows, setRows] = useState(firstRows);
  const found = useMemo(() => {
    const filter = { kind: kind === '' ? null : kind, text };
    return shownEvents(events).filter((each) => matches(each, filter));
  }, [events, kind, text]);
  const end = useFollowing(found.length);
  if (!isLoaded) return error ? <FailureView error={error} title="The events cannot be shown." /> : <Loading />;
  const shown = found.slice(-rows);
  const choices = [
    { value: '', label: 'All events' },
    ...eventKinds.map((each) => ({ value: each, label: kindLabels[each] })),
  ];
  return (
    <div class="table-box">
      <div class="table-tools">
        <SearchBox what="events" value={text} onValue={setText} />
        <Filter
          label="Kind of event"
          value={kind}
          onValue={(value) => setKind(value as EventKind | '')}
          choices={choices}
        />
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
            {shown.map((each) => (
              <EventRow key={each.event.seq} shown={each} instanceId={instance.id} />
            ))}
          </ol>
        </>
      )}
      <div ref={end} />
    </div>
  );
}

function EventRow({
  shown: { event, kind, repeats },
  instanceId,
}: {
  readonly shown: ShownEvent;
  readonly instanceId: string;
}) {
  const taskId = dataText(event, 'task_id');
  const excerpt = dataText(event, 'excerpt');
  const phase = dataText(event, 'phase');
  return (
    <li class={`event event-${kind}`}>
      <time dateTime={event.time} title={new Date(event.time).toLocaleString()}>
        {clockText(event.time)}
      </time>
      <span class="event-kind">
        {kind === 'state' ? (
          <Badge state={event.type.replace(/^apps\.instance\./, '')} />
        ) : (
          <span class="muted">{kind === 'phase' && phase ? words(phase) : kindLabels[kind].toLowerCase()}</span>
        )}
      </span>
      <div class="event-text">
        <p class={kind === 'state' ? 'event-title' : undefined}>
          {cleanLine(event.message)}
          {repeats > 0 && <span class="muted"> (told {repeats + 1} times)</span>}
        </p>
        {excerpt !== undefined && <Excerpt title="End of what the installer said" text={excerpt} />}
        <EventFacts shown={event} />
      </div>
      <span class="event-more muted">
        {actorWords(event.actor)}
        {taskId !== undefined && (
          <>
            {' · '}
            <Link to={`/instances/${encodeURIComponent(instanceId)}/logs?task=${encodeURIComponent(taskId)}`}>
              task log
            </Link>
          </>
        )}
      </span>
    </li>
  );
}

/** Shown elsewhere in the row, or the same in other words. */
const told: ReadonlySet<string> = new Set(['excerpt', 'task_id', 'type', 'time', 'phase', 'from', 'to', 'failure']);

/** The rest of what is known, for whoever wants to know it exactly. */
export function EventFacts({ shown: { data } }: { readonly shown: ShownEvent['event'] }) {
  const facts = Object.entries(data)
    .filter(([name, value]) => !told.has(name) && value !== null)
    .map(([name, value]) => {
      return [words(name), cleanLine(typeof value === 'string' ? value : JSON.stringify(value))] as const;
    });
  const failure = data['failure'];
  if (facts.length === 0 && typeof failure !== 'string') return null;
  return (
    <details class="excerpt">
      <summary>Facts</summary>
      <Facts facts={[...(typeof failure === 'string' ? [['failure', failure] as const] : []), ...facts]} />
    </details>
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

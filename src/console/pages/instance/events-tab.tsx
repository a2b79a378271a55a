/** What happened, newest last: states, phases, progress, what the installer said, and what the node reports (G-143). */
import { useState } from 'preact/hooks';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { words } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { Badge } from '../../parts/badge.tsx';
import { Filter } from '../../parts/field.tsx';
import { Facts } from '../../parts/page.tsx';
import { clockText } from './amounts.ts';
import { cleanLine } from './clean-text.ts';
import { EventsBox } from './events-box.tsx';
import { actorWords, dataText, type EventKind, eventKinds, kindLabels, type ShownEvent } from './instance-events.ts';
import { Excerpt, factText } from './trouble.tsx';
import type { EventsSoFar } from './use-events-of.ts';

export interface EventsTabProps {
  readonly instance: InstanceView;
  readonly events: EventsSoFar;
}

export function EventsTab({ instance, events }: EventsTabProps) {
  const [kind, setKind] = useState<EventKind | ''>('');
  const choices = [
    { value: '', label: 'All events' },
    ...eventKinds.map((each) => ({ value: each, label: kindLabels[each] })),
  ];
  return (
    <EventsBox
      soFar={events}
      kind={kind === '' ? null : kind}
      row={(each) => <EventRow key={each.event.seq} shown={each} instanceId={instance.id} />}
    >
      <Filter
        label="Kind of event"
        value={kind}
        onValue={(value) => setKind(value as EventKind | '')}
        choices={choices}
      />
    </EventsBox>
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
    .map(([name, value]) => [words(name), factText(value)] as const);
  const failure = data['failure'];
  if (facts.length === 0 && typeof failure !== 'string') return null;
  return (
    <details class="excerpt">
      <summary>Facts</summary>
      <Facts facts={[...(typeof failure === 'string' ? [['failure', failure] as const] : []), ...facts]} />
    </details>
  );
}

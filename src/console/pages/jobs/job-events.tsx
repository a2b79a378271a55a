/** What happened to a job. */
import { clockText } from '../instance/amounts.ts';
import { cleanLine } from '../instance/clean-text.ts';
import { EventsBox } from '../instance/events-box.tsx';
import { EventFacts } from '../instance/events-tab.tsx';
import { actorWords, type ShownEvent } from '../instance/instance-events.ts';
import type { EventsSoFar } from '../instance/use-events-of.ts';

export function JobEvents({ events }: { readonly events: EventsSoFar }) {
  return <EventsBox soFar={events} kind={null} row={(each) => <JobEventRow key={each.event.seq} shown={each} />} />;
}

function JobEventRow({ shown: { event, repeats } }: { readonly shown: ShownEvent }) {
  return (
    <li class="event">
      <time dateTime={event.time} title={new Date(event.time).toLocaleString()}>
        {clockText(event.time)}
      </time>
      <span class="event-kind muted">{cleanLine(event.type.replace(/^jobs?\./, '').replaceAll(/[._]/g, ' '))}</span>
      <div class="event-text">
        <p>
          {cleanLine(event.message)}
          {repeats > 0 && <span class="muted"> (told {repeats + 1} times)</span>}
        </p>
        <EventFacts shown={event} />
      </div>
      <span class="event-more muted">{actorWords(event.actor)}</span>
    </li>
  );
}

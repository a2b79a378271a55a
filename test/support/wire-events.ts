/** What the control plane has told about a thing so far, as its event stream has it. */
import { parseEvents } from '../../src/cli/gpuaas/event-lines.ts';
import type { Event } from '../../src/server/db/entities/event.ts';
import type { Wire } from './wire-ground.ts';

/** Oldest first, up to the first of the last type, which must come. */
export async function eventsAbout({ url, admin }: Wire, subjectId: string, lastType: string): Promise<Event[]> {
  const ending = new AbortController();
  const headers = { authorization: `Bearer ${admin.token}` };
  const query = new URLSearchParams({ after: '0', subject_id: subjectId });
  const { body } = await fetch(`${url}/api/v1/events?${query}`, { headers, signal: ending.signal });
  const events: Event[] = [];
  for await (const { data } of parseEvents(body as AsyncIterable<Uint8Array>)) {
    const event = JSON.parse(data) as Event;
    events.push(event);
    if (event.type === lastType) break;
  }
  ending.abort();
  return events;
}

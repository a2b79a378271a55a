/** `gpuaas apps instances events`: what happened, oldest first, and with `-f` what happens from now on. */
import { untilInterrupted } from '../interruption.ts';
import { printJson, printLine, tell } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { ControlPlaneClient } from './client.ts';
import { followEvents } from './event-lines.ts';
import { instancePath } from './instance.ts';

interface Event {
  readonly seq: number;
  readonly time: string;
  readonly type: string;
  readonly message: string;
}

const pageSize = 1000;

export async function printEvents(
  client: ControlPlaneClient,
  id: string,
  { follow, json }: { follow: boolean; json: boolean },
): Promise<void> {
  let last = 0;
  for (let full = true; full; ) {
    const query = { after: last, limit: pageSize };
    const { items } = await client.get<{ items: Event[] }>(`${instancePath(id)}/events`, query);
    for (const event of items) {
      print(event, json);
      last = event.seq;
    }
    full = items.length === pageSize;
  }
  if (!follow) {
    return;
  }
  const { signal, stopListening } = untilInterrupted();
  try {
    for await (const { type, data } of followEvents(
      client,
      '/api/v1/events',
      { subject_id: id },
      { after: String(last), signal },
    )) {
      if (type === 'gap') tell('… some events are missing here: they are older than what is kept');
      else print(JSON.parse(data) as Event, json);
    }
  } catch (error) {
    // The reader has seen enough.
    if (!signal.aborted) throw error;
  } finally {
    stopListening();
  }
}

function print(event: Event, json: boolean): void {
  if (json) printJson(event);
  else printLine(`${event.time}  ${event.type}  ${oneLine(event.message)}`);
}

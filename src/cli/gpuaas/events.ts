/** `gpuaas apps instances events`: what happened, oldest first, and with `-f` what happens from now on. */
import { untilInterrupted } from '../interruption.ts';
import { printJson, printLine, tell } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { ControlPlaneClient } from './client.ts';
import { followEvents } from './event-lines.ts';
import { eventsSoFar, type InstanceEvent } from './event-pages.ts';

export async function printEvents(
  client: ControlPlaneClient,
  id: string,
  { follow, json }: { follow: boolean; json: boolean },
): Promise<void> {
  let last = 0;
  for await (const event of eventsSoFar(client, id)) {
    print(event, json);
    last = event.seq;
  }
  if (!follow) {
    return;
  }
  const { signal, stopListening } = untilInterrupted();
  const options = { after: String(last), signal, json };
  try {
    for await (const { type, data } of followEvents(client, '/api/v1/events', { subject_id: id }, options)) {
      if (type === 'gap') tell('… some events are missing here: they are older than what is kept');
      else if (type === 'reset') tell('… the control plane was put back from a backup; this begins anew');
      else print(JSON.parse(data) as InstanceEvent, json);
    }
  } catch (error) {
    // The reader has seen enough.
    if (!signal.aborted) throw error;
  } finally {
    stopListening();
  }
}

function print(event: InstanceEvent, json: boolean): void {
  if (json) printJson(event);
  else printLine(oneLine(`${event.time}  ${event.type}  ${event.message}  (by ${whoIs(event.actor)})`));
}

function whoIs(actor: string): string {
  return actor === 'system' ? 'the control plane' : actor.replace(':', ' ');
}

/** The usual way to put an event into the log: what a request did to a thing. */
import type { NewEvent } from './entities/event.ts';
import type { Tx } from './store.ts';

export interface Cause {
  readonly now: number;
  readonly correlationId: string;
  readonly who: { readonly actor: string };
}

type Happened = Pick<NewEvent, 'type' | 'project_id' | 'subject' | 'message'> & { readonly data?: NewEvent['data'] };

export async function appendEvent(tx: Tx, cause: Cause, { data = {}, ...happened }: Happened): Promise<void> {
  await tx.events.append({
    ...happened,
    data,
    time: new Date(cause.now).toISOString(),
    actor: cause.who.actor,
    correlation_id: cause.correlationId,
  });
}

/**
 * What happens on the control plane, as one stream for the whole page. It tells that something changed, never what it now
 * is: who shows the thing asks for it anew.
 */
import type { Event } from '../../server/db/entities/event.ts';
import { type Shared, shared } from './store.ts';
import { openStream } from './stream.ts';

/** `lost` while events may be missed; what is shown then may be old. */
export type Connection = 'connecting' | 'open' | 'lost';

export const connection: Shared<Connection> = shared<Connection>('connecting');

/** Undefined where anything may have changed: after a time without connection. */
type Listener = (event: Event | undefined) => void;

const listeners = new Set<Listener>();

/** Tells of every event that this session may see. Returns how to stop. */
export function onEvent(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Follows the events until the signal. To be called once for each session. */
export function follow(signal: AbortSignal): void {
  let wasLost = false;
  openStream(
    '/api/v1/events',
    {
      message: (type, _id, data) => tell(type === 'gap' || type === 'reset' ? undefined : (data as Event)),
      state: (state) => {
        if (state === 'lost') wasLost = true;
        // A reconnection is no news for people until it has worked.
        if (state !== 'connecting' || !wasLost) connection.set(state);
        if (state === 'open' && wasLost) {
          wasLost = false;
          tell(undefined);
        }
      },
      refused: () => connection.set('lost'),
    },
    { signal },
  );
}

function tell(event: Event | undefined): void {
  for (const listener of [...listeners]) listener(event);
}

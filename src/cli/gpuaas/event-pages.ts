/** What happened to an instance so far, page by page. */
import type { ControlPlaneClient } from './client.ts';
import { instancePath } from './instance.ts';

export interface InstanceEvent {
  readonly seq: number;
  readonly time: string;
  readonly type: string;
  readonly message: string;
  /** `token:ID`, `node:ID` or `system`. */
  readonly actor: string;
}

const pageSize = 1000;

/** Events of the instance behind the one with the number `after`, oldest first, up to now. */
export async function* eventsSoFar(
  client: ControlPlaneClient,
  instance: string,
  after = 0,
  signal?: AbortSignal,
): AsyncGenerator<InstanceEvent, void, undefined> {
  let last = after;
  for (let full = true; full; ) {
    const query = { after: last, limit: pageSize };
    const page = await client.get<{ items: InstanceEvent[] }>(`${instancePath(instance)}/events`, query, signal);
    yield* page.items;
    last = page.items.at(-1)?.seq ?? last;
    full = page.items.length === pageSize;
  }
}

/** What is known on the host about versions of the agent, from what root keeps of them. */
import type { AgentConfig } from '../config.ts';
import type { UpdateState } from '../local-api/update-state.ts';
import { readLast, readPending, readSkipped, readVersionLink } from './guarded.ts';
import type { UpdatePlaces } from './places.ts';

export function updateStateOf(
  places: UpdatePlaces,
  { updates: { automatic, channel, pinned, window } }: Pick<AgentConfig, 'updates'>,
  version: string,
): UpdateState {
  const previous = readVersionLink(places, 'previous');
  return {
    ...{ version, previous: previous === undefined || previous === version ? null : previous },
    ...{ pending: readPending(places) ?? null, last: readLast(places) ?? null, skipped: readSkipped(places) },
    settings: { automatic, channel, pinned, window },
  };
}

/** What the agent does again and again, whatever else happens on its host. */
import type { JobInputs } from '../jobs/inputs/job-inputs.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { repeat } from '../kit/repeat.ts';
import type { HostPressure } from './host-pressure.ts';
import type { HostRoom } from './host-room.ts';
import type { Journal } from './journal/journal.ts';
import type { KeptForLater } from './kept-for-later.ts';

export interface UpkeepOptions {
  readonly pressure: Pick<HostPressure, 'look'>;
  readonly journal: Pick<Journal, 'prune'>;
  /** Milliseconds since 1970 by the clock of the control plane, by which the journal goes. */
  readonly serverNow: () => number;
  /** Undefined where nothing is fetched. */
  readonly inputs: Pick<JobInputs, 'prune'> | undefined;
  readonly kept: Pick<KeptForLater, 'prune'>;
  readonly room: Pick<HostRoom, 'measure'>;
  /** Ends services that no job shares any more. */
  readonly endIdle: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const minuteMs = 60_000;

/** Each begins at once. Resolves when the signal is aborted and the work is over; never rejects. */
export async function keepUp({
  pressure,
  journal,
  serverNow,
  inputs,
  kept,
  room,
  endIdle,
  log,
  ...rest
}: UpkeepOptions): Promise<void> {
  await Promise.all([
    repeat(() => pressure.look(), {
      ...{ ...rest, everyMs: minuteMs },
      onError: (err) => log.warn({ err }, 'host could not be looked at'),
    }),
    repeat(endIdle, {
      ...{ ...rest, everyMs: minuteMs },
      onError: (err) => log.warn({ err }, 'shared services could not be tidied up'),
    }),
    repeat(() => journal.prune(serverNow()), {
      ...{ ...rest, everyMs: 10 * minuteMs },
      onError: (err) => log.warn({ err }, 'journal could not be pruned'),
    }),
    repeat(() => inputs?.prune(), {
      ...{ ...rest, everyMs: 60 * minuteMs },
      onError: (err) => log.warn({ err }, 'the cache of inputs could not be tidied up'),
    }),
    repeat(() => kept.prune(), {
      ...{ ...rest, everyMs: 60 * minuteMs },
      onError: (err) => log.warn({ err }, 'what is kept of projects could not be tidied up'),
    }),
    repeat(() => room.measure(), {
      ...{ ...rest, everyMs: 5 * minuteMs },
      onError: (err) => log.warn({ err }, 'what caches and jobs hold could not be measured'),
    }),
  ]);
}

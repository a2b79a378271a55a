/**
 * Cursors of logs as agents give and take them: for each channel of a container the moment of its last entry and the number of that
 * among the entries of channel and moment, `stdout=<time>/<n>,stderr=<time>/<n>`; of several containers `web@<cursor>;db@<cursor>`.
 */
import type { StreamedEntry } from './session-messages.ts';

export interface LogPlace {
  /** As the engine has it. */
  readonly time: string;
  readonly index: number;
}

export type OutputChannel = Exclude<StreamedEntry['channel'], 'task'>;
export type ChannelPlaces = Partial<Record<OutputChannel, LogPlace>>;

export const outputChannels = ['stdout', 'stderr'] as const satisfies readonly OutputChannel[];

/** Empty where no channel has said anything. */
export function containerCursor(places: ChannelPlaces): string {
  return outputChannels
    .flatMap((channel) => {
      const place = places[channel];
      return place ? [`${channel}=${place.time}/${place.index}`] : [];
    })
    .join(',');
}

/** Of each service its own cursor: 16 of them are shorter than the longest cursor of a session. */
export function stackCursor(cursors: Iterable<readonly [service: string, cursor: string]>): string {
  return [...cursors].map(([service, cursor]) => `${service}@${cursor}`).join(';');
}

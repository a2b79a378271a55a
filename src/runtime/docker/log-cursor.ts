/**
 * Positions in a container's log, exact although the engine can only be asked for "everything since a moment".
 *
 * The engine copies stdout and stderr side by side: a moment in one channel may be written behind a later one of the
 * other, and all parts of a long line share one moment. Within a channel, though, moments never go back. So a cursor
 * holds, for each channel, the moment of the last entry and its number among the entries of that channel and moment.
 * Resuming asks from a little before the newest of them and leaves out what was there already.
 */
import { AgentError } from '../../contract/failures.ts';
import {
  containerCursor,
  outputChannels,
  type LogPlace as Place,
  type ChannelPlaces as Places,
} from '../../contract/log-cursor.ts';
import { formatSeconds, toUnixNanos } from '../../kit/nano-time.ts';
import type { LogChannel } from '../engine.ts';

const place = '(\\d{4}-[0-9T:.-]{1,40}Z)/(\\d{1,9})';
const cursorText = new RegExp(`^(?:stdout=${place})?(?:,?stderr=${place})?$`);

/** How far, at most, two entries of different channels are written in the wrong order. */
const disorderNanos = 1_000_000_000n;

export class LogReader {
  readonly #start: Places;
  readonly #reached: Places = {};
  /** The newest entry that was read before; undefined once it was met again. */
  #awaited: (Place & { readonly channel: LogChannel }) | undefined;
  #gap = false;

  /** Reads on behind the cursor, or from the beginning. `task.invalid` for a text that is no cursor of ours. */
  constructor(cursor?: string) {
    this.#start = cursor === undefined ? {} : parseCursor(cursor);
    this.#awaited = newestPlace(this.#start);
  }

  /**
   * `since` to ask the engine for; undefined is everything. A cursor ahead of the clock is from before the clock was
   * set back: everything is read again, as repeating is better than being silent until the clock catches up.
   */
  since(nowMs: number): string | undefined {
    const newest = newestOf(this.#start);
    if (newest === undefined) {
      return undefined;
    }
    if (newest > BigInt(Math.ceil(nowMs)) * 1_000_000n + disorderNanos) {
      delete this.#start.stdout;
      delete this.#start.stderr;
      this.#awaited = undefined;
      return undefined;
    }
    return formatSeconds(newest > disorderNanos ? newest - disorderNanos : 0n);
  }

  /** Notes the next entry as the engine has it. Returns the cursor behind it, or undefined if it was read before. */
  advance(channel: LogChannel, time: string): string | undefined {
    const before = this.#reached[channel];
    const index = before?.time === time ? before.index + 1 : 0;
    this.#reached[channel] = { time, index };
    this.#lookOut(channel, time, index);
    const start = this.#start[channel];
    if (start && (time < start.time || (time === start.time && index <= start.index))) {
      return undefined;
    }
    return this.#cursor();
  }

  /** True, once, if the entry that was noted last should have come behind one that the engine no longer has. */
  takeGap(): boolean {
    const gap = this.#gap;
    this.#gap = false;
    return gap;
  }

  /** The entry at the cursor is read again, unless it was rotated away with what came behind it. */
  #lookOut(channel: LogChannel, time: string, index: number): void {
    const awaited = this.#awaited;
    if (!awaited) {
      return;
    }
    const same = channel === awaited.channel;
    if (same && time === awaited.time && index === awaited.index) {
      this.#awaited = undefined;
    } else if (isBehind(awaited, { time, index }, same)) {
      this.#awaited = undefined;
      this.#gap = true;
    }
  }

  #cursor(): string {
    const places: Places = {};
    for (const channel of outputChannels) {
      const reached = furthest(this.#start[channel], this.#reached[channel]);
      if (reached) {
        places[channel] = reached;
      }
    }
    return containerCursor(places);
  }
}

/** Within a channel entries are in order; those of the other one may be written a little late. */
function isBehind(awaited: Place, { time, index }: Place, sameChannel: boolean): boolean {
  if (sameChannel) {
    return time > awaited.time || (time === awaited.time && index > awaited.index);
  }
  const [here, there] = [toUnixNanos(time), toUnixNanos(awaited.time)];
  return here !== undefined && there !== undefined && here > there + disorderNanos;
}

function newestPlace(places: Places): (Place & { readonly channel: LogChannel }) | undefined {
  const found = outputChannels.flatMap((channel) => {
    const place = places[channel];
    return place ? [{ ...place, channel }] : [];
  });
  return found.sort((a, b) => (a.time < b.time ? 1 : -1))[0];
}

/** While a channel is being read again, what was delivered of it before is ahead of what is read. */
function furthest(start: Place | undefined, reached: Place | undefined): Place | undefined {
  if (!start || !reached) {
    return start ?? reached;
  }
  const behind = reached.time < start.time || (reached.time === start.time && reached.index < start.index);
  return behind ? start : reached;
}

function parseCursor(text: string): Places {
  const [all, outTime, outIndex, errTime, errIndex] = cursorText.exec(text) ?? [];
  if (all === undefined || all === '' || [outTime, errTime].some((time) => time && toUnixNanos(time) === undefined)) {
    throw new AgentError('task.invalid', { path: '/cursor', reason: 'The cursor is not one that this agent gave.' });
  }
  return {
    ...(outTime === undefined ? {} : { stdout: { time: outTime, index: Number(outIndex) } }),
    ...(errTime === undefined ? {} : { stderr: { time: errTime, index: Number(errIndex) } }),
  };
}

function newestOf(places: Places): bigint | undefined {
  return outputChannels
    .map((channel) => toUnixNanos(places[channel]?.time ?? ''))
    .filter((nanos) => nanos !== undefined)
    .reduce<bigint | undefined>(
      (newest, nanos) => (newest === undefined || nanos > newest ? nanos : newest),
      undefined,
    );
}

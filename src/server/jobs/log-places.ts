/**
 * How far somebody is with the log of a job, whether it comes from its host or out of what was kept: of each step and channel the
 * last entry, by its moment and its number among the entries of that moment. Within a channel moments never go back, and a
 * kept line says which entries it was made of, so what was seen there is known here.
 *
 * As a cursor it is `<attempt>.<step>@<stdout>,<stderr>;…` with a place as `<moment>/<number>`: steps by their number in the job, others
 * by `~` and their name, moments as nanoseconds in base 36, no number for 0. Those of 128 steps are shorter than the longest cursor.
 */
import {
  type ChannelPlaces,
  containerCursor,
  type LogPlace,
  type OutputChannel,
  outputChannels,
  stackCursor,
} from '../../contract/log-cursor.ts';
import { maxCursor } from '../../contract/session-messages.ts';
import { formatNanos, toUnixNanos } from '../../kit/nano-time.ts';

/** Of one attempt; empty for its beginning. */
export interface LogPlaces {
  readonly attempt: number;
  readonly steps: Map<string, ChannelPlaces>;
}

/** `steps`: ids of the job, in its order. What is no cursor is the beginning, of whatever attempt there is. */
export function readPlaces(cursor: string | null, steps: readonly string[]): LogPlaces {
  const [, attempt, text] = /^(\d{1,4})\.(.*)$/.exec(cursor ?? '') ?? [];
  const places: LogPlaces = { attempt: Number(attempt ?? 0), steps: new Map() };
  for (const each of text ? text.split(';') : []) {
    const [, number, name, stdout, stderr] = /^(?:(\d{1,3})|~([^@]{1,64}))@([^,]*),([^,]*)$/.exec(each) ?? [];
    const step = name ?? steps[Number(number ?? -1)];
    if (step === undefined) return { attempt: 0, steps: new Map() };
    const of = { stdout: readPlace(stdout), stderr: readPlace(stderr) };
    places.steps.set(step, { ...(of.stdout && { stdout: of.stdout }), ...(of.stderr && { stderr: of.stderr }) });
  }
  return places;
}

export function cursorOf({ attempt, steps: places }: LogPlaces, steps: readonly string[]): string {
  const texts = [...places].map(([step, { stdout, stderr }]) => {
    const number = steps.indexOf(step);
    return `${number === -1 ? `~${step}` : number}@${placeText(stdout)},${placeText(stderr)}`;
  });
  let text = `${attempt}.${texts.join(';')}`;
  // Who comes back with it gets the log of that step once more, and none is lost.
  for (; text.length > maxCursor; text = `${attempt}.${texts.join(';')}`) texts.shift();
  return text;
}

function placeText(place: LogPlace | undefined): string {
  if (!place) return '';
  const nanos = toUnixNanos(place.time);
  const time = nanos !== undefined && formatNanos(nanos) === place.time ? nanos.toString(36) : place.time;
  return place.index === 0 ? time : `${time}/${place.index}`;
}

function readPlace(text = ''): LogPlace | undefined {
  const [, short, long, index = '0'] = /^(?:([\da-z]{1,13})|([\dT:.-]{19,30}Z))(?:\/(-1|\d{1,9}))?$/.exec(text) ?? [];
  const time = short === undefined ? long : formatNanos(nanosOf(short));
  return time === undefined ? undefined : { time, index: Number(index) };
}

function nanosOf(text: string): bigint {
  return [...text].reduce((sum, digit) => sum * 36n + BigInt(Number.parseInt(digit, 36)), 0n);
}

/** Where the host is to go on. Null for the beginning; a step that has no room there is read anew. */
export function hostCursors({ steps }: LogPlaces, step: string | undefined): ReadonlyMap<string, string> {
  const cursors = new Map<string, string>();
  let length = 0;
  for (const [id, { stdout, stderr }] of steps) {
    if (step !== undefined && id !== step) continue;
    const known: ChannelPlaces = { ...(isEntry(stdout) && { stdout }), ...(isEntry(stderr) && { stderr }) };
    const cursor = containerCursor(known);
    length += stackCursor([[id, cursor]]).length + 1;
    if (cursor !== '' && length <= maxCursor) cursors.set(id, cursor);
  }
  return cursors;
}

function isEntry(place: LogPlace | undefined): place is LogPlace {
  return place !== undefined && place.index >= 0;
}

/** Takes the entries of one reading, and leaves out what was seen before it. */
export class LogReading {
  readonly #places: LogPlaces;
  readonly #seen: ReadonlyMap<string, ChannelPlaces>;
  readonly #reached: Map<string, ChannelPlaces>;
  readonly #isTail: boolean;

  /** `resumed`: steps that are read from their places on; others from their beginning, or with `isTail` from somewhere. */
  constructor(places: LogPlaces, resumed: Iterable<string>, { isTail = false } = {}) {
    this.#places = places;
    this.#seen = new Map([...places.steps].map(([step, of]) => [step, { ...of }]));
    this.#reached = new Map([...resumed].map((step) => [step, { ...this.#seen.get(step) }]));
    this.#isTail = isTail;
  }

  /** True where it is new; its place is noted then. To be called with every entry. */
  takes(step: string, channel: OutputChannel, time: string): boolean {
    const reached = this.#reached.getOrInsertComputed(step, () => ({}));
    const before = reached[channel];
    const place = { time, index: before?.time === time ? before.index + 1 : 0 };
    reached[channel] = place;
    const seen = this.#seen.get(step)?.[channel];
    if (seen && (time < seen.time || (time === seen.time && place.index <= seen.index))) return false;
    const places = this.#places.steps.getOrInsertComputed(step, () => this.#behindTail(time));
    places[channel] = place;
    return true;
  }

  /** What was written before the first entry of a tail is not wanted, in whichever channel. */
  #behindTail(time: string): ChannelPlaces {
    if (!this.#isTail) return {};
    return Object.fromEntries(outputChannels.map((channel) => [channel, { time, index: -1 }]));
  }
}

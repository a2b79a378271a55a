/**
 * Makes entries of the frames of a log stream.
 *
 * One frame is one write of the engine: a moment, a blank, the bytes, and a newline where the line ends. Data goes
 * through untouched and mostly uncopied; no more than one entry is ever held.
 */
import { AgentError } from '../../contract/failures.ts';
import type { LogChannel } from '../engine.ts';
import type { FramePiece } from './frames.ts';

/** An entry without its cursor. */
export interface RawEntry {
  readonly time: string;
  readonly channel: LogChannel;
  readonly data: Buffer;
  readonly partial: boolean;
}

export const maxEntryBytes = 16 * 1024;
const maxTimeBytes = 64;
const newline = 0x0a;
const blank = 0x20;

export class EntryReader {
  #time = '';
  /** Bytes of the moment that were read so far; undefined once it is complete. */
  #timeBegun: Buffer | undefined;
  #parts: Buffer[] = [];
  #length = 0;

  *push(piece: FramePiece, channel: LogChannel): Generator<RawEntry, void, undefined> {
    if (piece.first) {
      this.#timeBegun = Buffer.alloc(0);
    }
    const data = this.#timeBegun === undefined ? piece.data : this.#readTime(piece.data, this.#timeBegun);
    if (data.length > 0) {
      this.#parts.push(data);
      this.#length += data.length;
    }
    // One byte more, so that a newline behind a full entry does not become an entry of its own.
    while (this.#length > maxEntryBytes + 1) {
      yield { time: this.#time, channel, data: this.#take(maxEntryBytes), partial: true };
    }
    if (piece.last) {
      yield* this.#finish(channel);
    }
  }

  *#finish(channel: LogChannel): Generator<RawEntry, void, undefined> {
    const time = this.#time;
    const data = this.#take(this.#length);
    if (data.at(-1) === newline) {
      yield { time, channel, data: data.subarray(0, -1), partial: false };
      return;
    }
    for (let from = 0; from < data.length; from += maxEntryBytes) {
      yield { time, channel, data: data.subarray(from, from + maxEntryBytes), partial: true };
    }
  }

  /** Takes the moment off the front of a frame and returns what is behind it. */
  #readTime(data: Buffer, begun: Buffer): Buffer {
    const end = data.indexOf(blank);
    const text = end === -1 ? data : data.subarray(0, end);
    if (begun.length + text.length > maxTimeBytes) {
      throw new AgentError('engine.failed', { reason: 'An entry of its log has no time.' });
    }
    const joined = begun.length === 0 ? text : Buffer.concat([begun, text]);
    if (end === -1) {
      this.#timeBegun = Buffer.from(joined);
      return data.subarray(data.length);
    }
    this.#time = joined.toString('latin1');
    this.#timeBegun = undefined;
    return data.subarray(end + 1);
  }

  #take(length: number): Buffer {
    const [only] = this.#parts;
    const all = only !== undefined && this.#parts.length === 1 ? only : Buffer.concat(this.#parts, this.#length);
    const rest = all.subarray(length);
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
    return all.subarray(0, length);
  }
}

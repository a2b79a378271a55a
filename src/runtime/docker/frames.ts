/**
 * Takes apart the engine's multiplexed streams (logs, exec): eight bytes of header, channel and length, then that many
 * bytes of payload.
 *
 * The payload is handed on as it comes, in pieces of the chunks it came in, never collected: a frame may be larger than
 * anything we want to hold.
 */
import { AgentError } from '../../contract/failures.ts';
import type { LogChannel } from '../engine.ts';

/** A piece of a frame's payload. What the engine itself has to say in the middle of a stream comes as `engine`. */
export interface FramePiece {
  readonly channel: LogChannel | 'engine';
  readonly data: Buffer;
  /** True for the first piece of its frame. */
  readonly first: boolean;
  /** True for the last piece of its frame. An empty frame is one empty piece, first and last. */
  readonly last: boolean;
}

const headerLength = 8;

/** Cuts chunks into pieces; what is incomplete waits inside for the next chunk. */
export class FrameReader {
  readonly #header = Buffer.alloc(headerLength);
  #headerFilled = 0;
  #channel: FramePiece['channel'] = 'stdout';
  /** Bytes of payload that are still to come. */
  #missing = 0;
  #first = true;

  /** Throws `engine.failed` if the bytes are not a multiplexed stream. */
  *push(chunk: Buffer): Generator<FramePiece, void, undefined> {
    let from = 0;
    while (from < chunk.length) {
      if (this.#missing === 0) {
        from = this.#readHeader(chunk, from);
        if (this.#headerFilled < headerLength) {
          return;
        }
        if (this.#missing === 0) {
          yield this.#piece(chunk.subarray(from, from));
        }
      } else {
        const end = Math.min(from + this.#missing, chunk.length);
        this.#missing -= end - from;
        yield this.#piece(chunk.subarray(from, end));
        from = end;
      }
    }
  }

  #readHeader(chunk: Buffer, from: number): number {
    if (this.#headerFilled === headerLength) {
      this.#headerFilled = 0;
    }
    const end = Math.min(from + headerLength - this.#headerFilled, chunk.length);
    chunk.copy(this.#header, this.#headerFilled, from, end);
    this.#headerFilled += end - from;
    if (this.#headerFilled === headerLength) {
      this.#channel = channelOf(this.#header);
      this.#missing = this.#header.readUInt32BE(4);
      this.#first = true;
    }
    return end;
  }

  #piece(data: Buffer): FramePiece {
    const piece = { channel: this.#channel, data, first: this.#first, last: this.#missing === 0 };
    this.#first = false;
    return piece;
  }
}

const channels: Readonly<Record<number, FramePiece['channel']>> = { 1: 'stdout', 2: 'stderr', 3: 'engine' };

function channelOf(header: Buffer): FramePiece['channel'] {
  const channel = channels[header.readUInt8(0)];
  if (channel === undefined || header.readUIntBE(1, 3) !== 0) {
    throw new AgentError('engine.failed', { reason: 'Its stream is not multiplexed.' });
  }
  return channel;
}

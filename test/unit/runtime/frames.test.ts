import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameReader } from '../../../src/runtime/docker/frames.ts';
import { EntryReader, maxEntryBytes, type RawEntry } from '../../../src/runtime/docker/log-entries.ts';
import type { LogChannel } from '../../../src/runtime/engine.ts';

const time = '2026-01-01T00:00:00.000000001Z';

function frame(kind: number, payload: string | Buffer): Buffer {
  const body = Buffer.from(payload);
  const header = Buffer.alloc(8);
  header.writeUInt8(kind, 0);
  header.writeUInt32BE(body.length, 4);
  return Buffer.concat([header, body]);
}

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

/** `channel:payload` of each whole frame. */
function framesOf(chunks: readonly Buffer[]): string[] {
  const reader = new FrameReader();
  const found: string[] = [];
  let open = Buffer.alloc(0);
  for (const piece of chunks.flatMap((chunk) => [...reader.push(chunk)])) {
    open = Buffer.concat([piece.first ? Buffer.alloc(0) : open, piece.data]);
    if (piece.last) {
      found.push(`${piece.channel}:${open.toString('latin1')}`);
    }
  }
  return found;
}

/** With the bytes as text, which compares faster. */
function entriesOf(chunks: readonly Buffer[]): (Omit<RawEntry, 'data'> & { data: string })[] {
  const frames = new FrameReader();
  const entries = new EntryReader();
  return chunks
    .flatMap((chunk) => [...frames.push(chunk)])
    .flatMap((piece) => [...entries.push(piece, piece.channel as LogChannel)])
    .map(({ data, ...entry }) => ({ ...entry, data: data.toString('latin1') }));
}

describe('frames of a multiplexed stream', () => {
  it('come by channel, empty ones too', () => {
    const stream = Buffer.concat([frame(1, 'out'), frame(2, ''), frame(3, 'broken'), frame(1, '')]);

    expect(framesOf([stream])).toEqual(['stdout:out', 'stderr:', 'engine:broken', 'stdout:']);
  });

  it('are the same however the stream is cut', () => {
    const anyFrame = fc.tuple(fc.constantFrom(1, 2), fc.string({ maxLength: 40 }));
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 10 }), fc.array(fc.nat(), { maxLength: 30 }), (parts, cuts) => {
        const stream = Buffer.concat(parts.map(([kind, text]) => frame(kind, text)));

        expect(framesOf(cut(stream, cuts))).toEqual(framesOf([stream]));
        expect(framesOf([stream])).toHaveLength(parts.length);
      }),
    );
  });

  it.each([frame(0, 'x'), frame(9, 'x'), Buffer.from('plain text of a terminal')])('are not found in %j', (bytes) => {
    expect(() => framesOf([bytes])).toThrow(expect.objectContaining({ code: 'engine.failed' }));
  });
});

describe('entries of a log', () => {
  it('lose their newline, and say so when there is none', () => {
    const stream = Buffer.concat([
      frame(1, `${time} a line\n`),
      frame(2, `${time} \n`),
      frame(1, `${time} begun`),
      frame(1, `${time} and ended\n`),
    ]);

    expect(entriesOf([stream]).map(({ channel, data, partial }) => [channel, data, partial])).toEqual([
      ['stdout', 'a line', false],
      ['stderr', '', false],
      ['stdout', 'begun', true],
      ['stdout', 'and ended', false],
    ]);
  });

  it.each([
    [maxEntryBytes, '\n', [[maxEntryBytes, false]]],
    [maxEntryBytes, '', [[maxEntryBytes, true]]],
    [
      maxEntryBytes + 1,
      '',
      [
        [maxEntryBytes, true],
        [1, true],
      ],
    ],
    [
      maxEntryBytes + 1,
      '\n',
      [
        [maxEntryBytes, true],
        [1, false],
      ],
    ],
    [
      3 * maxEntryBytes,
      '\n',
      [
        [maxEntryBytes, true],
        [maxEntryBytes, true],
        [maxEntryBytes, false],
      ],
    ],
  ])('of %i bytes and %j are cut at 16 KiB', (length, end, expected) => {
    const stream = frame(1, `${time} ${'x'.repeat(length)}${end}`);

    expect(entriesOf([stream]).map(({ data, partial }) => [data.length, partial])).toEqual(expected);
  });

  it('are the same however the stream is cut', () => {
    const line = fc.tuple(fc.constantFrom(1, 2), fc.nat(3 * maxEntryBytes), fc.boolean());
    fc.assert(
      fc.property(fc.array(line, { maxLength: 4 }), fc.array(fc.nat(), { maxLength: 20 }), (lines, cuts) => {
        const stream = Buffer.concat(
          lines.map(([kind, length, ended]) => frame(kind, `${time} ${'y'.repeat(length)}${ended ? '\n' : ''}`)),
        );

        const whole = entriesOf([stream]);
        const parts = entriesOf(cut(stream, cuts));

        expect(parts).toEqual(whole);
        expect(whole.every(({ data }) => data.length <= maxEntryBytes)).toBe(true);
        expect(whole.reduce((sum, { data }) => sum + data.length, 0)).toBe(
          lines.reduce((sum, [, length]) => sum + length, 0),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('without a time are refused', () => {
    expect(() => entriesOf([frame(1, 'x'.repeat(200))])).toThrow(expect.objectContaining({ code: 'engine.failed' }));
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatNanos, toUnixNanos } from '../../../src/kit/nano-time.ts';
import { LogReader } from '../../../src/runtime/docker/log-cursor.ts';
import type { LogChannel } from '../../../src/runtime/engine.ts';

interface Written {
  readonly channel: LogChannel;
  readonly time: string;
}

const start = 1_767_225_600_000_000_000n;
const now = Number(start / 1_000_000n) + 3_600_000;

/** What the engine gives back for `since`: everything in file order that is not older. */
function replay(log: readonly Written[], reader: LogReader): { entry: Written; cursor: string }[] {
  const since = reader.since(now);
  const from = since === undefined ? 0n : BigInt(since.replace('.', ''));
  return log
    .filter(({ time }) => (toUnixNanos(time) ?? 0n) >= from)
    .flatMap((entry) => {
      const cursor = reader.advance(entry.channel, entry.time);
      return cursor === undefined ? [] : [{ entry, cursor }];
    });
}

/** Both channels write in the order of their own clocks; which of them comes first in the file is up to the engine. */
const anyLog = fc
  .array(fc.tuple(fc.constantFrom<LogChannel>('stdout', 'stderr'), fc.nat(3)), { maxLength: 30 })
  .map((steps) => {
    const clocks: Record<LogChannel, bigint> = { stdout: start, stderr: start };
    return steps.map(([channel, step]): Written => {
      // Nothing (parts of one line), a nanosecond, half a second, two seconds.
      clocks[channel] += [0n, 1n, 500_000_000n, 2_000_000_000n][step] ?? 0n;
      return { channel, time: formatNanos(clocks[channel]) };
    });
  });

describe('a cursor', () => {
  it('leads to exactly what comes behind it, wherever it was taken', () => {
    // Within a second of each other, as the engine writes them.
    const close = anyLog.filter((log) => {
      const newest = { stdout: start, stderr: start };
      return log.every(({ channel, time }) => {
        newest[channel] = toUnixNanos(time) ?? start;
        const apart = newest.stdout - newest.stderr;
        return apart < 1_000_000_000n && apart > -1_000_000_000n;
      });
    });
    fc.assert(
      fc.property(close, (log) => {
        const all = replay(log, new LogReader());
        expect(all.map(({ entry }) => entry)).toEqual(log);

        for (const [index, { cursor }] of all.entries()) {
          const rest = replay(log, new LogReader(cursor));
          expect(rest.map(({ entry }) => entry)).toEqual(log.slice(index + 1));
          expect(rest.map((item) => item.cursor)).toEqual(all.slice(index + 1).map((item) => item.cursor));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('of a channel that has long been silent does not read the other from the beginning', () => {
    const reader = new LogReader(`stdout=${formatNanos(start + 10n ** 13n)}/0,stderr=${formatNanos(start)}/3`);

    expect(reader.since(now + 10 ** 8)).toBe('1767235599.000000000');
    expect(reader.advance('stderr', formatNanos(start + 10n ** 13n))).toBeDefined();
  });

  it('leads on when what it named is no longer there', () => {
    const reader = new LogReader(`stdout=${formatNanos(start)}/7`);

    const [next] = replay([{ channel: 'stdout', time: formatNanos(start + 5n) }], reader);

    expect(next?.cursor).toBe(`stdout=${formatNanos(start + 5n)}/0`);
  });

  it('from before the clock was set back reads everything again rather than nothing', () => {
    const future = formatNanos(start + 86_400_000_000_000n);
    const reader = new LogReader(`stdout=${future}/0`);

    expect(reader.since(now)).toBeUndefined();
    expect(reader.advance('stdout', formatNanos(start))).toBe(`stdout=${formatNanos(start)}/0`);
  });

  it.each([
    '',
    ',',
    'stdout',
    'stdout=x/0',
    `stdout=${formatNanos(start)}`,
    `stdin=${formatNanos(start)}/0`,
    'stdout=2026-99-01T00:00:00Z/0',
  ])('is not %j', (text) => {
    expect(() => new LogReader(text)).toThrow(expect.objectContaining({ code: 'task.invalid' }));
  });

  it('tells, once, that what stood behind it was rotated away', () => {
    const log = [0n, 1n, 2n, 3n].map((step): Written => ({ channel: 'stdout', time: formatNanos(start + step) }));
    const [first] = replay(log, new LogReader());
    const reader = new LogReader(first?.cursor);

    replay(log.slice(2), reader);

    expect(reader.takeGap()).toBe(true);
    expect(reader.takeGap()).toBe(false);
  });

  it('tells of no gap where nothing is missing, wherever it was taken', () => {
    fc.assert(
      fc.property(anyLog, (log) => {
        for (const { cursor } of replay(log, new LogReader())) {
          const reader = new LogReader(cursor);
          replay(log, reader);
          expect(reader.takeGap()).toBe(false);
        }
      }),
    );
  });
});

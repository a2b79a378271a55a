import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { readContainerLog } from '../../../../src/agent/logs/container-log.ts';
import type { LogItem } from '../../../../src/agent/logs/log-source.ts';
import { AgentError, type FailureCode } from '../../../../src/contract/failures.ts';
import type { LogEntry, LogOptions } from '../../../../src/runtime/engine.ts';

const never = new AbortController().signal;
const atOnce = { firstMs: 0, maxMs: 0, factor: 1 };
const entry = (index: number, over: Partial<LogEntry> = {}): LogEntry => ({
  ...{ cursor: `c${index}`, time: '2026-11-25T10:00:00.000000000Z', channel: 'stdout' },
  ...{ data: Buffer.from(`line ${index}`), partial: false },
  ...over,
});

/** An engine whose connection breaks after each part, with the code given, until the last one ends. */
function breaking(parts: readonly LogEntry[][], code: FailureCode = 'engine.unavailable') {
  const asked: LogOptions[] = [];
  return {
    asked,
    logs: async function* (_name: string, options: LogOptions) {
      const part = parts[asked.length];
      asked.push(options);
      yield* part ?? [];
      if (asked.length < parts.length) {
        throw new AgentError(code);
      }
    },
  };
}

async function all(items: AsyncIterable<LogItem>): Promise<LogItem[]> {
  return await Array.fromAsync(items);
}

describe('the log of a container', () => {
  it('goes on behind its last entry when the engine comes back, while it is followed', async () => {
    const engine = breaking([[entry(1), entry(2)], [], [entry(3)]]);

    const items = await all(
      readContainerLog(engine, 'gpuaas-notebook-1', { follow: true, tail: 9, signal: never }, atOnce),
    );

    expect(items.map((item) => 'data' in item && item.data.toString())).toEqual(['line 1', 'line 2', 'line 3']);
    expect(engine.asked.map(({ cursor }) => cursor)).toEqual([undefined, 'c2', 'c2']);
  });

  it('fails where it is not followed: whoever asked wants the log now', async () => {
    const engine = breaking([[entry(1)], [entry(2)]]);

    await expect(
      all(readContainerLog(engine, 'gpuaas-notebook-1', { follow: false, signal: never }, atOnce)),
    ).rejects.toThrow(expect.objectContaining({ code: 'engine.unavailable' }));
  });

  it('fails where waiting cannot help', async () => {
    const engine = breaking([[entry(1)], []], 'container.not_found');

    await expect(all(readContainerLog(engine, 'gone', { follow: true, signal: never }, atOnce))).rejects.toThrow(
      expect.objectContaining({ code: 'container.not_found' }),
    );
  });

  it('says where the engine has rotated something away', async () => {
    const engine = breaking([[entry(5, { afterGap: true }), entry(6)]]);

    const items = await all(
      readContainerLog(engine, 'gpuaas-notebook-1', { cursor: 'c1', follow: false, signal: never }),
    );

    expect(items[0]).toEqual({ gap: true, dropped: null });
    expect(items).toHaveLength(3);
  });

  it('ends as soon as nobody reads any more, also while it waits for the engine', async () => {
    const reader = new AbortController();
    const engine = breaking([[entry(1)], []]);
    const log = readContainerLog(engine, 'gpuaas-notebook-1', { follow: true, signal: reader.signal });
    await log.next();

    const waiting = log.next();
    reader.abort(new Error('closed'));

    await expect(waiting).rejects.toThrow('closed');
  });

  describe('that a late reader is shown a jump in (FAULTS 4)', () => {
    const begin = Date.parse('2026-11-25T10:00:00Z');
    const at = (ms: number) => new Date(begin + ms).toISOString();

    /** Gives the first two entries of the first part `lateMs` after they were written, and the rest of all parts at once. */
    async function readLate(parts: readonly LogEntry[][], lateMs: number, options: { follow: boolean }) {
      vi.useFakeTimers({ toFake: ['Date'], now: begin });
      onTestFinished(() => void vi.useRealTimers());
      const asked: (string | undefined)[] = [];
      const engine = {
        logs: async function* (_name: string, { cursor }: LogOptions) {
          const part = parts[asked.length] ?? [];
          asked.push(cursor);
          for (const [index, each] of part.entries()) {
            if (index === 1) vi.setSystemTime(Date.parse(each.time) + lateMs);
            yield each;
          }
        },
      };
      const items = await all(readContainerLog(engine, 'gpuaas-notebook-1', { ...options, signal: never }, atOnce));
      return { asked, told: items.map((item) => ('gap' in item ? 'gap' : item.data.toString())) };
    }
    const jump = [entry(1, { time: at(0) }), entry(9, { time: at(200) })];

    it('is opened anew behind the last entry, and tells what the engine has lost between', async () => {
      const anew = [entry(9, { time: at(200), afterGap: true })];

      const { asked, told } = await readLate([jump, anew], 10_000, { follow: true });

      expect(asked).toEqual([undefined, 'c1']);
      expect(told).toEqual(['line 1', 'gap', 'line 9']);
    });

    it('tells no gap where nothing is missing', async () => {
      const { told } = await readLate([jump, [entry(9, { time: at(200) })]], 10_000, { follow: true });

      expect(told).toEqual(['line 1', 'line 9']);
    });

    it.each([
      ['for a reader who keeps up', jump, 500, { follow: true }],
      ['without a jump', [entry(1, { time: at(0) }), entry(2, { time: at(20) })], 10_000, { follow: true }],
      ['where it is not followed', jump, 10_000, { follow: false }],
    ])('is read on %s', async (_when, part, lateMs, options) => {
      const { asked } = await readLate([part], lateMs, options);

      expect(asked).toEqual([undefined]);
    });
  });
});

import { describe, expect, it } from 'vitest';
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
});

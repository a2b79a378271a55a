/** Streams over sources in memory: credit, blocks, gaps, cursors, ends (FAULTS 4, 21). */
import { describe, expect, it } from 'vitest';
import type { LogItem, LogSources, ReadOptions } from '../../../../src/agent/logs/log-source.ts';
import { LogStreams } from '../../../../src/agent/logs/log-streams.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { creditOf } from '../../../../src/contract/log-credit.ts';
import {
  FromAgent,
  type LogsChunk,
  type LogsEnd,
  type LogsGap,
  type LogsOpen,
} from '../../../../src/contract/session-messages.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { eventually } from '../../../support/eventually.ts';

const time = '2026-11-25T10:00:00.000000000Z';
const item = (index: number, text = `line ${index}`): LogItem => ({
  ...{ cursor: `c${index}`, time, channel: 'stdout', data: Buffer.from(text), partial: false },
});
type LogMessage = LogsChunk | LogsGap | LogsEnd;

const open = (over: Partial<LogsOpen> = {}): LogsOpen => ({
  ...{
    type: 'logs_open',
    stream: 's1',
    source: { kind: 'instance', id: 'notebook-1' },
    cursor: null,
    tail: null,
    follow: false,
  },
  bytes: 1_000_000,
  ...over,
});

/** A log of so many lines that remembers what was asked of it and how far it was read. */
function countedLog(total: number, text?: string) {
  const reads: ReadOptions[] = [];
  const seen = { read: 0, closed: 0 };
  const sources: LogSources = {
    async *read(_source, options) {
      reads.push(options);
      const from = options.cursor === undefined ? 0 : Number(options.cursor.slice(1)) + 1;
      try {
        for (let index = from; index < total; index += 1) {
          seen.read += 1;
          yield item(index, text);
        }
      } finally {
        seen.closed += 1;
      }
    },
  };
  return { sources, reads, seen };
}

function streamsOver(sources: LogSources, over: { maxStreams?: number; holdMs?: number } = {}) {
  const sent: LogMessage[] = [];
  const all = new LogStreams({ sources, ...over });
  const reply = {
    send: async (message: LogMessage) => {
      sent.push(message);
      return true;
    },
  };
  const streams = {
    open: (asked: LogsOpen) => all.open(asked, reply),
    credit: (stream: string, bytes: number) => all.credit(stream, bytes),
    close: (stream: string) => all.close(stream),
    counts: () => all.counts(),
  };
  const of = (type: LogMessage['type']) => sent.filter((message) => message.type === type);
  const texts = () =>
    sent.flatMap((message) => (message.type === 'logs_chunk' ? message.block : [])).map((e) => e.text);
  const ended = () => eventually(() => expect(of('logs_end')).toHaveLength(1));
  return { streams, sent, of, texts, ended };
}

describe('a log stream', () => {
  it('sends the whole log in a few blocks, then its end', async () => {
    const { sources } = countedLog(2500);
    const { streams, sent, of, texts, ended } = streamsOver(sources);

    streams.open(open());
    await ended();

    expect(texts()).toEqual(Array.from({ length: 2500 }, (_, index) => `line ${index}`));
    expect(of('logs_chunk').length).toBeLessThan(10);
    expect(sent.at(-1)).toEqual({ type: 'logs_end', stream: 's1', failure: null });
    expect(sent.filter((message) => !judge(FromAgent, message).ok)).toEqual([]);
    expect(streams.counts()).toMatchObject({ open: 0, entries: 2500, gaps: 0 });
  });

  it('sends messages that the other side accepts, whatever is in them (FAULTS 21)', async () => {
    const { sources } = countedLog(100, '\u0000'.repeat(16_384));
    const { streams, sent, ended } = streamsOver(sources);

    streams.open(open({ bytes: 16_777_216 }));
    await ended();

    expect(sent.filter((message) => !judge(FromAgent, message).ok)).toEqual([]);
    expect(Math.max(...sent.map((message) => JSON.stringify(message).length))).toBeLessThan(1024 * 1024);
  });

  it('sends no more than it has credit for, and reads no further than it can send', async () => {
    const { sources, seen } = countedLog(1000);
    const { streams, texts } = streamsOver(sources);
    const cost = creditOf({ text: 'line 0' });

    streams.open(open({ bytes: cost * 10 }));
    await eventually(() => expect(texts()).toHaveLength(10));
    await new Promise((resolve) => setImmediate(resolve));

    expect(texts()).toHaveLength(10);
    expect(seen.read).toBeLessThanOrEqual(11);
    streams.credit('s1', cost * 5);
    await eventually(() => expect(texts()).toHaveLength(15));
    streams.close('s1');
  });

  it('asks for nothing before there is credit', async () => {
    const { sources, reads } = countedLog(3);
    const { streams, texts, ended } = streamsOver(sources);

    streams.open(open({ bytes: 0 }));
    await new Promise((resolve) => setImmediate(resolve));
    expect(reads).toEqual([]);

    streams.credit('s1', 1000);
    await ended();
    expect(texts()).toHaveLength(3);
  });

  it('lets the source go while nobody reads, and goes on exactly behind its last entry (FAULTS 4)', async () => {
    const { sources, reads, seen } = countedLog(20);
    const { streams, texts, ended } = streamsOver(sources, { holdMs: 1 });

    streams.open(open({ bytes: creditOf({ text: 'line 0' }) * 4, tail: 20, follow: true }));
    await eventually(() => expect(reads[0]?.signal.aborted).toBe(true));
    expect(reads).toHaveLength(1);
    streams.credit('s1', 1_000_000);
    await ended();

    expect(reads[1]).toMatchObject({ cursor: 'c3', follow: true });
    expect(texts()).toEqual(Array.from({ length: 20 }, (_, index) => `line ${index}`));
    expect(seen.read).toBeLessThanOrEqual(22);
  });

  it('tells a gap where it is, between two chunks', async () => {
    const sources: LogSources = {
      async *read() {
        yield item(1);
        yield { gap: true, dropped: 7 };
        yield item(9);
      },
    };
    const { streams, sent, ended } = streamsOver(sources);

    streams.open(open());
    await ended();

    expect(sent.map((message) => ('block' in message ? message.block.map(({ text }) => text) : message))).toEqual([
      ['line 1'],
      { type: 'logs_gap', stream: 's1', dropped: 7 },
      ['line 9'],
      { type: 'logs_end', stream: 's1', failure: null },
    ]);
  });

  it('does not keep a line waiting until a block is full', async () => {
    const more = Promise.withResolvers<void>();
    const sources: LogSources = {
      async *read() {
        yield item(1);
        await more.promise;
        yield item(2);
      },
    };
    const { streams, texts, ended } = streamsOver(sources);

    streams.open(open({ follow: true }));
    await eventually(() => expect(texts()).toEqual(['line 1']));
    more.resolve();

    await ended();
    expect(texts()).toEqual(['line 1', 'line 2']);
  });

  it('ends with the reason where the log cannot be read', async () => {
    const sources: LogSources = {
      // biome-ignore lint/correctness/useYield: it fails before it has anything
      async *read() {
        throw new AgentError('container.not_found', { container: 'gpuaas-notebook-1' });
      },
    };
    const { streams, sent, ended } = streamsOver(sources);

    streams.open(open());
    await ended();

    expect(sent).toMatchObject([{ type: 'logs_end', failure: { code: 'container.not_found' } }]);
  });

  it('says nothing more once it is closed, and lets its source go', async () => {
    const signals: AbortSignal[] = [];
    const sources: LogSources = {
      async *read(_source, { signal }) {
        signals.push(signal);
        yield item(1);
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      },
    };
    const { streams, sent, texts } = streamsOver(sources);
    streams.open(open({ follow: true }));
    await eventually(() => expect(texts()).toEqual(['line 1']));

    streams.close('s1');
    await new Promise((resolve) => setImmediate(resolve));

    expect(signals[0]?.aborted).toBe(true);
    expect(sent.map(({ type }) => type)).toEqual(['logs_chunk']);
    expect(streams.counts().open).toBe(0);
  });

  it('is refused where too many are open already', async () => {
    const sources: LogSources = {
      async *read(_source, { signal }) {
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      },
    };
    const { streams, sent } = streamsOver(sources, { maxStreams: 1 });

    streams.open(open({ stream: 'first' }));
    streams.open(open({ stream: 'second' }));

    await eventually(() =>
      expect(sent).toMatchObject([{ type: 'logs_end', stream: 'second', failure: { code: 'logs.exhausted' } }]),
    );
    streams.close('first');
  });

  it('waits for the connection to take each message: a stalled one holds one block, not the log', async () => {
    const { sources, seen } = countedLog(100_000);
    const stalled = Promise.withResolvers<boolean>();
    const streams = new LogStreams({ sources });

    streams.open(open({ bytes: 16_777_216 }), { send: () => stalled.promise });
    await eventually(() => expect(seen.read).toBeGreaterThan(10));
    await new Promise((resolve) => setImmediate(resolve));

    expect(seen.read).toBeLessThanOrEqual(1001);
    stalled.resolve(false);
    await eventually(() => expect(seen.closed).toBe(1));
  });
});

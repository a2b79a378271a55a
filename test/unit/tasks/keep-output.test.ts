import { expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import type { LogEntry, LogOptions } from '../../../src/runtime/engine.ts';
import { keepOutput } from '../../../src/tasks/keep-output.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { taskContext } from '../../support/task-bench.ts';

const { signal } = new AbortController();
const entry = (text: string, over: Partial<LogEntry> = {}): LogEntry => ({
  ...{ cursor: 'c', time: '2026-11-25T10:00:00.000000001Z', channel: 'stdout', partial: false },
  ...{ data: Buffer.from(text), ...over },
});

async function kept(entries: readonly LogEntry[], failure?: Error) {
  const asked: LogOptions[] = [];
  const { context, logLines } = taskContext({
    ...recordingEngine().engine,
    logs: async function* (_name, options) {
      asked.push(options);
      yield* entries;
      if (failure) {
        throw failure;
      }
    },
  });
  await keepOutput('gpuaas-notebook-1', context, signal);
  const lines = logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { asked, lines, texts: lines.filter(({ msg }) => msg === 'container output').map(({ text }) => text) };
}

it('writes each line with its channel and the time of the engine, and puts together what came in pieces', async () => {
  const { lines, asked } = await kept([
    entry('the first half, ', { partial: true }),
    entry('an error', { channel: 'stderr' }),
    entry('and the second'),
  ]);

  expect(asked).toMatchObject([{ follow: false, tail: 1000 }]);
  const time_of_event = '2026-11-25T10:00:00.000000001Z';
  expect(lines).toMatchObject([
    { msg: 'container output', channel: 'stdout', text: 'the first half, and the second', time_of_event },
    { msg: 'container output', channel: 'stderr', text: 'an error', time_of_event },
  ]);
});

it('keeps the last 256 KiB, and says that there was more', async () => {
  const { lines, texts } = await kept(
    Array.from({ length: 100 }, (_, number) => entry(`${number} ${'x'.repeat(8000)}`)),
  );

  expect(lines[0]).toMatchObject({ msg: 'container output was longer' });
  expect(String(texts.at(-1)).startsWith('99 ')).toBe(true);
  expect(texts.length).toBeGreaterThan(25);
  expect(texts.join('').length).toBeLessThanOrEqual(256 * 1024);
});

it('keeps a line without an end in pieces', async () => {
  const { texts } = await kept(Array.from({ length: 100 }, () => entry('x'.repeat(16_384), { partial: true })));

  expect(texts.length).toBeGreaterThan(1);
  expect(texts.join('').length).toBeLessThanOrEqual(256 * 1024);
});

it('keeps what it got where the log breaks off, and is silent where there is no container', async () => {
  const broken = await kept([entry('one')], new AgentError('engine.unavailable'));
  const absent = await kept([], new AgentError('container.not_found'));

  expect(broken.texts).toEqual(['one']);
  expect(broken.lines[0]).toMatchObject({ level: 'warn', msg: 'output of the container could not be read to its end' });
  expect(absent.lines).toEqual([]);
});

it('goes on with a line whose beginning it had to drop', async () => {
  const long = (letter: string, over: Partial<LogEntry> = {}) => entry(letter.repeat(16_000), over);
  const { texts } = await kept([
    long('E', { channel: 'stderr', partial: true }),
    ...Array.from({ length: 20 }, () => long('o')),
    ...Array.from({ length: 3 }, () => long('F', { channel: 'stderr', partial: true })),
    entry('why it failed', { channel: 'stderr' }),
    ...Array.from({ length: 50 }, (_, number) => entry(`last line ${number}`)),
  ]);

  expect(texts.filter((text) => String(text).endsWith('FFwhy it failed'))).toHaveLength(1);
  expect(texts.join('').length).toBeGreaterThan(200 * 1024);
});

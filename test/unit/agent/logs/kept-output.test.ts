/** What a container said is there after a failed launch has taken it away. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { discreetEngine } from '../../../../src/agent/discreet-engine.ts';
import type { LogItem, ReadOptions } from '../../../../src/agent/logs/log-source.ts';
import { openLogSources } from '../../../../src/agent/logs/open-sources.ts';
import { openTaskLog } from '../../../../src/agent/task-log.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import type { LogEntry } from '../../../../src/runtime/engine.ts';
import { keepOutput } from '../../../../src/tasks/keep-output.ts';
import { eventually } from '../../../support/eventually.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const top = temporaryFolder('kept-output');
const { signal } = new AbortController();
let count = 0;

function bench() {
  count += 1;
  const folder = join(top, String(count));
  mkdirSync(folder);
  let there: (string | Partial<LogEntry>)[] | undefined;
  const logs = async function* (): AsyncGenerator<LogEntry> {
    if (!there) {
      throw new AgentError('container.not_found');
    }
    for (const said of there) {
      const entry = {
        cursor: 'engine',
        time: '2026-11-25T10:00:00.000000001Z',
        channel: 'stdout',
        partial: false,
      } as const;
      yield { ...entry, data: Buffer.from(String(said)), ...(typeof said === 'string' ? {} : said) };
    }
  };
  const sources = openLogSources({ engine: { logs, list: async () => [], events: logs as never }, taskLogs: folder });
  return {
    /** A launch of which this was the output when it failed. */
    failed: async (
      taskId: string,
      output: (string | Partial<LogEntry>)[],
      { secret = 'never-said', instance = 'notebook-1' } = {},
    ) => {
      // Which launch is the newest is told by the time in its log.
      const before = Date.now();
      await eventually(() => expect(Date.now()).toBeGreaterThan(before));
      const base = { task_type: 'workload.oci_launch', instance };
      const { log, hide, hidden } = openTaskLog(taskId, base, {
        folder,
        level: 'info',
        maxBytes: 2 ** 20,
        maxTasks: 9,
      });
      log.info({}, 'task begins');
      hide(secret);
      there = output;
      const engine = discreetEngine({ logs } as never, hidden);
      await keepOutput('gpuaas-notebook-1', { engine, log }, signal);
      there = undefined;
    },
    runs: (output: string[]) => {
      there = output;
    },
    read: async (options: Partial<ReadOptions> = {}) =>
      await Array.fromAsync(
        sources.read({ kind: 'instance', id: 'notebook-1' }, { follow: false, signal, ...options }),
      ),
  };
}

const texts = (items: readonly LogItem[]) => items.map((item) => ('gap' in item ? 'gap' : item.data.toString()));
const cursorOf = (item: LogItem | undefined) => (item && 'cursor' in item ? item.cursor : undefined);

describe('the log of an instance whose launch failed', () => {
  it('is the end of its output, as it was written, without the secrets of the task', async () => {
    const { failed, read } = bench();
    await failed('task-1', ['starting', 'bad token: s3cr3t-token'], { secret: 's3cr3t-token' });

    const items = await read();

    expect(texts(items)).toEqual(['starting', 'bad token: [redacted]']);
    expect(items[0]).toMatchObject({ channel: 'stdout', partial: false, time: '2026-11-25T10:00:00.000000001Z' });
  });

  it('holds no half of a secret either, wherever a long line of it is cut', async () => {
    const piece = 16 * 1024;
    const secret = 'SuperSecretToken-0123456789abcdefghijklmnop';
    for (const before of [4 * piece - 20, piece - 20]) {
      const line = Buffer.from(`${'x'.repeat(before)}${secret}${'é'.repeat(3 * piece)}`);
      const pieces = Array.from({ length: Math.ceil(line.length / piece) }, (_, index) => {
        const data = line.subarray(index * piece, (index + 1) * piece);
        return { data, partial: (index + 1) * piece < line.length };
      });
      const { failed, read } = bench();

      await failed('task-1', [`${secret.slice(20)} begins`, ...pieces], { secret });

      const [first, ...rest] = texts(await read());
      expect(first).toBe('[redacted] begins');
      expect(rest.join('')).toBe(`${'x'.repeat(before)}[redacted]${'é'.repeat(3 * piece)}`);
    }
  });

  it('can be read in part: the last lines, and behind a cursor', async () => {
    const { failed, read } = bench();
    await failed('task-1', ['one', 'two', 'three']);

    expect(texts(await read({ tail: 2 }))).toEqual(['two', 'three']);
    const [first] = await read();
    expect(texts(await read({ cursor: cursorOf(first) }))).toEqual(['two', 'three']);
  });

  it('is that of the newest launch, and of no other instance', async () => {
    const { failed, read } = bench();
    await failed('task-1', ['of the first']);
    await failed('task-2', ['of the second']);
    await failed('task-3', ['of another'], { instance: 'notebook-2' });

    expect(texts(await read())).toEqual(['of the second']);
  });

  it('is not what its container says where there is one', async () => {
    const { failed, read, runs } = bench();
    await failed('task-1', ['of the first']);
    runs(['at work']);

    expect(texts(await read())).toEqual(['at work']);
  });

  it('goes on with all that the container of a later launch says', async () => {
    const { failed, read, runs } = bench();
    await failed('task-1', ['of the first']);
    const [kept] = await read();
    runs(['begins anew', 'at work']);

    expect(texts(await read({ cursor: cursorOf(kept), tail: 1 }))).toEqual(['begins anew', 'at work']);
  });

  it('is not there where nothing was kept', async () => {
    const { failed, read } = bench();
    await expect(read()).rejects.toMatchObject({ code: 'container.not_found' });

    await failed('task-1', []);
    await expect(read()).rejects.toMatchObject({ code: 'container.not_found' });
  });
});

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LogItem, ReadOptions } from '../../../../src/agent/logs/log-source.ts';
import { readTaskLog } from '../../../../src/agent/logs/task-log-file.ts';
import { openTaskLog } from '../../../../src/agent/task-log.ts';
import { eventually } from '../../../support/eventually.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const top = temporaryFolder('task-log-file');
let count = 0;

function newFolder(): string {
  count += 1;
  const folder = join(top, String(count));
  mkdirSync(folder);
  return folder;
}

function writer(folder: string, maxBytes = 2 ** 20) {
  return openTaskLog('task-1', { task_type: 'test' }, { folder, level: 'info', maxBytes, maxTasks: 10 }).log;
}

function read(folder: string, options: Partial<ReadOptions> = {}) {
  return readTaskLog(folder, 'task-1', { follow: false, signal: new AbortController().signal, ...options });
}

const counts = (items: readonly LogItem[]) =>
  items.map((item) => ('gap' in item ? 'gap' : (JSON.parse(item.data.toString()) as { count?: number }).count));
const cursorOf = (item: LogItem | undefined) => (item && 'cursor' in item ? item.cursor : undefined);

describe('the log of a task, read', () => {
  it('has each line with its own time', async () => {
    const folder = newFolder();
    const log = writer(folder);
    log.info({ count: 1 }, 'first');
    log.info({ count: 2 }, 'second');

    const items = await Array.fromAsync(read(folder));

    expect(counts(items)).toEqual([1, 2]);
    expect(items[0]).toMatchObject({ channel: 'task', partial: false, time: expect.stringMatching(/^20\d\d-.*Z$/) });
  });

  it('goes on exactly behind each of its cursors, also when the file was rotated meanwhile', async () => {
    const folder = newFolder();
    const log = writer(folder, 1500);
    for (let index = 0; index < 12; index += 1) {
      log.info({ count: index }, 'one of some');
    }
    const items = await Array.fromAsync(read(folder));
    const all = counts(items);
    expect(all.at(-1)).toBe(11);
    expect(all.length).toBeGreaterThan(6);

    for (const [index, item] of items.entries()) {
      expect(counts(await Array.fromAsync(read(folder, { cursor: cursorOf(item) })))).toEqual(all.slice(index + 1));
    }
  });

  it('begins with the last lines where that was asked for, over both files', async () => {
    const folder = newFolder();
    const log = writer(folder, 1000);
    for (let index = 0; index < 10; index += 1) {
      log.info({ count: index }, 'one of some');
    }

    expect(counts(await Array.fromAsync(read(folder, { tail: 7 })))).toEqual([3, 4, 5, 6, 7, 8, 9]);
    expect(await Array.fromAsync(read(folder, { tail: 0 }))).toEqual([]);
  });

  it('tells that something is gone when the file of the cursor is', async () => {
    const folder = newFolder();
    const log = writer(folder, 600);
    log.info({ count: 0 }, 'first');
    const [first] = await Array.fromAsync(read(folder));
    for (let index = 1; index < 20; index += 1) {
      log.info({ count: index }, 'one of some');
    }

    const items = await Array.fromAsync(read(folder, { cursor: cursorOf(first) }));

    expect(counts(items)[0]).toBe('gap');
    expect(counts(items).at(-1)).toBe(19);
  });

  it('comes in parts where a line is long, and goes on within it', async () => {
    const folder = newFolder();
    const text = 'x'.repeat(40_000);
    writer(folder).info({ text }, 'long');

    const items = await Array.fromAsync(read(folder));
    const rest = await Array.fromAsync(read(folder, { cursor: cursorOf(items[0]) }));

    expect(items.map((item) => 'partial' in item && item.partial)).toEqual([true, true, false]);
    expect(rest).toEqual(items.slice(1));
    const whole = Buffer.concat(items.flatMap((item) => ('data' in item ? [item.data] : []))).toString();
    expect(JSON.parse(whole)).toMatchObject({ text, msg: 'long' });
  });

  it('is followed until the task ends, over a rotation', async () => {
    const folder = newFolder();
    const log = writer(folder, 800);
    log.info({ count: 0 }, 'task begins');
    const items: LogItem[] = [];
    const reading = (async () => {
      for await (const item of read(folder, { follow: true })) {
        items.push(item);
      }
    })();

    for (let index = 1; index < 9; index += 1) {
      await eventually(() => expect(items).toHaveLength(index));
      log.info({ count: index }, 'one of some');
    }
    log.info({ count: 9 }, 'task ends');
    await reading;

    expect(counts(items)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('waits for the end of a line that is being written', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'task-1.ndjson'), '{"count":1}\n{"count":');

    expect(counts(await Array.fromAsync(read(folder)))).toEqual([1]);
  });

  it('ends as soon as nobody reads any more', async () => {
    const folder = newFolder();
    writer(folder).info({ count: 1 }, 'task begins');
    const reader = new AbortController();
    const log = read(folder, { follow: true, signal: reader.signal });
    await log.next();

    const waiting = log.next();
    reader.abort(new Error('closed'));

    await expect(waiting).rejects.toThrow('closed');
  });

  it('is refused where there is none, and with a position of something else', async () => {
    const folder = newFolder();
    await expect(Array.fromAsync(read(folder))).rejects.toMatchObject({ code: 'logs.not_found' });
    writer(folder).info('task begins');

    await expect(Array.fromAsync(read(folder, { cursor: 'stdout=x' }))).rejects.toMatchObject({ code: 'task.invalid' });
  });

  it('does not mistake a newer file of the same name for its own', async () => {
    const folder = newFolder();
    const file = join(folder, 'task-1.ndjson');
    writer(folder).info({ count: 1 }, 'old');
    const [old] = await Array.fromAsync(read(folder));
    rmSync(file);
    writer(folder).info({ count: 2 }, 'new');

    expect(counts(await Array.fromAsync(read(folder, { cursor: cursorOf(old) })))).toEqual(['gap', 2]);
  });
});

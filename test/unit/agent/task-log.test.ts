import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { openTaskLog, type TaskLog } from '../../../src/agent/task-log.ts';
import { anyCharacter } from '../../support/any-character.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const top = temporaryFolder('task-log');
let count = 0;

describe('the log of a task', () => {
  it('is a file of its own, one JSON object a line, for the owner of the host only', () => {
    const { taskLog, folder } = opened();

    taskLog.log.info({ attempt: 1 }, 'task begins');
    taskLog.log.warn({ path: '/image' }, 'something');

    const lines = linesOf(folder);
    expect(lines.map(({ level, task_id, instance, msg }) => [level, task_id, instance, msg])).toEqual([
      ['info', 'task-1', 'notebook-1', 'task begins'],
      ['warn', 'task-1', 'notebook-1', 'something'],
    ]);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'task-1.ndjson')).mode & 0o777).toBe(0o600);
  });

  it('goes on where an earlier attempt ended', () => {
    const { folder } = opened();
    openIn(folder).log.info('first');

    openIn(folder).log.info('second');

    expect(linesOf(folder).map(({ msg }) => msg)).toEqual(['first', 'second']);
  });

  it('never holds more than twice its bound, and always the newest lines', () => {
    const { taskLog, folder } = opened({ maxBytes: 4096 });

    for (let index = 0; index < 500; index += 1) {
      taskLog.log.info({ count: index }, 'one of many');
    }

    const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
    expect(readdirSync(folder).sort()).toEqual(['task-1.ndjson', 'task-1.ndjson.1']);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(4096);
    expect(linesOf(folder).at(-1)).toMatchObject({ count: 499 });
    expect(statSync(join(folder, 'task-1.ndjson.1')).mode & 0o777).toBe(0o600);
  });

  it('writes a line that is larger than the bound rather than losing it', () => {
    const { taskLog, folder } = opened({ maxBytes: 100 });

    taskLog.log.info({ text: 'x'.repeat(1000) }, 'long');

    expect(linesOf(folder)).toMatchObject([{ text: 'x'.repeat(1000) }]);
  });

  it('makes room for itself by removing the oldest ones, with what was rotated', () => {
    const folder = newFolder();
    mkdirSync(folder, { recursive: true });
    for (const [index, name] of ['new', 'oldest', 'old'].entries()) {
      const age = [10, 3000, 2000][index] ?? 0;
      for (const file of [`${name}.ndjson`, `${name}.ndjson.1`]) {
        writeFileSync(join(folder, file), '{}\n');
        utimesSync(join(folder, file), Date.now() / 1000 - age, Date.now() / 1000 - age);
      }
    }

    openIn(folder, { maxTasks: 2 }).log.info('here');

    expect(readdirSync(folder).sort()).toEqual(['new.ndjson', 'new.ndjson.1', 'task-1.ndjson']);
  });

  it('FAULTS 18: loses lines rather than the task when it cannot be written, and says how many', () => {
    const { taskLog, folder } = opened();
    const file = join(folder, 'task-1.ndjson');
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);

    mkdirSync(file);
    taskLog.log.info('lost');
    taskLog.log.info('lost too');
    rmdirSync(file);
    taskLog.log.info('written again');

    const complaints = stderr.mock.calls.map(([text]) => String(text));
    stderr.mockRestore();
    expect(complaints).toEqual([expect.stringContaining(file)]);
    expect(linesOf(folder)).toEqual([
      { level: 'error', time: expect.any(String), count: 2, msg: 'log lines were lost' },
      expect.objectContaining({ msg: 'written again' }),
    ]);
  });
});

describe('G-160: a secret that the task opened', () => {
  const secret = 'c4nary "quoted"\tand\\slashed';

  it('is in no later line, however it is written', () => {
    const { taskLog, folder } = opened();
    taskLog.hide(secret);

    taskLog.log.info({ text: `token is ${secret}` }, 'installer output');
    taskLog.log.info({ text: JSON.stringify({ inner: secret }) }, 'in JSON');
    taskLog.log.info({ url: `http://127.0.0.1:8888/?x=${encodeURIComponent(secret)}` }, 'in a URL');
    taskLog.log.error({ err: new Error(`cannot use ${secret}`, { cause: new Error(secret) }) }, 'failed');
    taskLog.log.info({ errors: [{ path: secret }] }, 'nested');

    const written = readFileSync(join(folder, 'task-1.ndjson'), 'utf8');
    expect(linesOf(folder)).toHaveLength(5);
    expect(written).not.toContain('c4nary');
  });

  it('is in no value that leaves the agent', () => {
    const { taskLog } = opened();
    taskLog.hide(secret);
    const output = {
      summary: `ready with ${secret}`,
      adapter: { packages_excerpt: JSON.stringify([secret]), port: 8888 },
    };

    expect(taskLog.clean(output)).toEqual({
      summary: 'ready with [redacted]',
      adapter: { packages_excerpt: '["[redacted]"]', port: 8888 },
    });
  });

  it('is hidden line by line where it has several', () => {
    const { taskLog } = opened();
    taskLog.hide('first-half-c4nary\r\nsecond-half-c4nary\n');

    expect(taskLog.clean({ tail: 'a\nsecond-half-c4nary\nb' })).toEqual({ tail: 'a\n[redacted]\nb' });
  });

  it('is hidden whole where it contains another one', () => {
    const { taskLog } = opened();
    taskLog.hide('c4nary');
    taskLog.hide('c4nary-and-more');

    expect(taskLog.clean('c4nary-and-more, c4nary')).toBe('[redacted], [redacted]');
  });

  it.each(['', '1', 'true', ',', '"', ':', '{', 'e'])('shreds nothing when it is just %j', (short) => {
    const { taskLog, folder } = opened();
    const output = { state: 'running', exit_code: 1, ok: true, list: ['a', 'e'], none: null };
    taskLog.hide(short);

    taskLog.log.info({ attempt: 1, adopted: true }, 'true enough');

    expect(taskLog.clean(output)).toEqual(output);
    expect(linesOf(folder)).toMatchObject([{ attempt: 1, adopted: true, msg: 'true enough' }]);
  });

  it('leaves JSON that is JSON, whatever it is', () => {
    const anySecret = fc.string({ minLength: 0, maxLength: 30, unit: anyCharacter });

    fc.assert(
      fc.property(fc.array(anySecret, { maxLength: 3 }), fc.jsonValue(), (secrets, value) => {
        const { taskLog } = opened();
        for (const each of secrets) {
          taskLog.hide(each);
        }

        const cleaned = taskLog.clean({ value, text: secrets.join(' and ') });

        const text = JSON.stringify(cleaned.text);
        expect(
          secrets
            .filter((each) => each.length >= 6 && !'[redacted]'.includes(each))
            .filter((each) => text.includes(each)),
        ).toEqual([]);
        expect(shape(cleaned.value)).toEqual(shape(value));
      }),
      { numRuns: 60 },
    );
  });

  it('costs nothing where there is none: the very value comes back', () => {
    const { taskLog } = opened();
    const output = { state: 'running' };

    expect(taskLog.clean(output)).toBe(output);
  });
});

interface Line {
  readonly [key: string]: unknown;
}

function newFolder(): string {
  count += 1;
  return join(top, String(count), 'task-logs');
}

function opened(options: { maxBytes?: number } = {}): { taskLog: TaskLog; folder: string } {
  const folder = newFolder();
  return { taskLog: openIn(folder, options), folder };
}

function openIn(folder: string, { maxBytes = 2 ** 20, maxTasks = 500 } = {}): TaskLog {
  return openTaskLog('task-1', { instance: 'notebook-1' }, { folder, level: 'info', maxBytes, maxTasks });
}

function linesOf(folder: string): Line[] {
  return readFileSync(join(folder, 'task-1.ndjson'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

/** The same value with every text emptied: what must not change. */
function shape(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'string' ? '' : inner)));
}

import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { takeInheritedFiles } from '../../../../src/host/systemd/inherited-files.ts';
import { takeServiceManager } from '../../../../src/host/systemd/service-manager.ts';
import { entryOf, openSystemJournal } from '../../../../src/host/systemd/system-journal.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('service');
const open: number[] = [];
afterEach(() => {
  for (const file of open.splice(0)) closeSync(file);
});

/** A file that stands for a socket, and what was written to it. */
function socket(name: string) {
  const path = join(folder, name);
  const file = openSync(path, 'w+');
  open.push(file);
  return { file, written: () => readFileSync(path) };
}

describe('files that systemd has opened', () => {
  it('are known by their names, and by no child', () => {
    const env = { LISTEN_PID: String(process.pid), LISTEN_FDS: '2', LISTEN_FDNAMES: 'notify:journal', PATH: '/bin' };

    expect([...takeInheritedFiles(env)]).toEqual([
      ['notify', 3],
      ['journal', 4],
    ]);
    expect(env).toEqual({ PATH: '/bin' });
  });

  it.each([
    ['for another process', { LISTEN_PID: '1', LISTEN_FDS: '1', LISTEN_FDNAMES: 'notify' }],
    ['not at all', {}],
  ])('are none where they were opened %s', (_, env) => {
    expect(takeInheritedFiles(env).size).toBe(0);
  });

  it('are looked for at the standard input as well, where the log of the kernel may be, and nothing else', () => {
    const asked = (stdin: string) => {
      const file = openSync(stdin, 'r');
      open.push(file);
      const words = `import { takeService } from './src/host/systemd/service.ts'; console.log(takeService('x', {}).kernelLog)`;
      const args = ['--input-type=module-typescript', '--eval', words];
      return spawnSync(process.execPath, args, { stdio: [file, 'pipe', 'inherit'], encoding: 'utf8' }).stdout.trim();
    };

    expect(asked('/dev/kmsg')).toBe('0');
    expect(asked('/dev/null')).toBe('undefined');
    expect(asked(join(import.meta.dirname, 'service.test.ts'))).toBe('undefined');
  });
});

describe('the service manager', () => {
  it('is told in its own words, one line each', async () => {
    const { file, written } = socket('notify');
    const env = { NOTIFY_SOCKET: '/nowhere', WATCHDOG_USEC: '60000000', WATCHDOG_PID: String(process.pid) };
    const manager = takeServiceManager(env, new Map([['notify', file]]));

    await manager.tell({ READY: '1', STATUS: 'It runs.\nREADY=0' });

    expect(written().toString()).toBe('READY=1\nSTATUS=It runs. READY=0');
    expect([manager.listens, manager.watchdogMs]).toEqual([true, 60_000]);
    expect(env).toEqual({});
  });

  it('does not wait for what another process is to say', () => {
    expect(
      takeServiceManager({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '1', WATCHDOG_PID: '1' }, new Map()).watchdogMs,
    ).toBe(undefined);
  });

  it('is nobody where none asks, and told in vain nothing happens', async () => {
    expect(takeServiceManager({}, new Map()).listens).toBe(false);
    await takeServiceManager({ NOTIFY_SOCKET: join(folder, 'none') }, new Map()).tell({ READY: '1' });
  });
});

describe("systemd's journal", () => {
  it('gets the values of a line as fields, and the line in words', () => {
    const line = {
      ...{ level: 'warn', time: 'now', task_id: 't-1', instance: 'app-1', count: 2 },
      ...{ err: { name: 'Error', message: 'two\nlines' }, reason: 'as it is', msg: 'engine is away' },
    };

    expect(fieldsOf(entryOf(JSON.stringify(line), 'an-agent'))).toEqual({
      MESSAGE: 'engine is away task_id=t-1 instance=app-1 count=2 err="two\\nlines" reason="as it is"',
      PRIORITY: '4',
      SYSLOG_IDENTIFIER: 'an-agent',
      GPUAAS_TASK_ID: 't-1',
      GPUAAS_INSTANCE: 'app-1',
      GPUAAS_COUNT: '2',
      GPUAAS_ERR: '{"name":"Error","message":"two\\nlines"}',
      GPUAAS_REASON: 'as it is',
    });
  });

  it('takes a value with line breaks for one value', () => {
    const line = { level: 'info', reason: 'one\nPRIORITY=0\n', msg: 'text' };

    expect(fieldsOf(entryOf(JSON.stringify(line), 'x'))).toMatchObject({
      PRIORITY: '6',
      GPUAAS_REASON: 'one\nPRIORITY=0\n',
    });
  });

  it('is written to where it was opened, and is not the place where stderr is another file', () => {
    const { file, written } = socket('journal');

    openSystemJournal('x', {}, new Map([['journal', file]]))?.write('{"level":"info","msg":"hello"}\n');

    expect(fieldsOf(written())).toMatchObject({ MESSAGE: 'hello' });
    expect(openSystemJournal('x', { JOURNAL_STREAM: '1:2' }, new Map())).toBeUndefined();
    expect(openSystemJournal('x', {}, new Map())).toBeUndefined();
  });
});

/** An entry as the journal reads it. */
function fieldsOf(entry: Buffer): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let at = 0; at < entry.length; ) {
    const name = entry.toString('utf8', at, entry.indexOf('\n', at));
    const begin = at + name.length + 9;
    const end = begin + Number(entry.readBigUInt64LE(begin - 8));
    fields[name] = entry.toString('utf8', begin, end);
    at = end + 1;
  }
  return fields;
}

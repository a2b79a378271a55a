import { appendFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { ScriptLogs } from '../../../src/jobs/script-log.ts';
import type { LogEntry } from '../../../src/runtime/engine.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const limits = { max_size_mib: 1, max_files: 2 };
const signal = AbortSignal.timeout(30_000);
let folder: string;
let logs: ScriptLogs;

beforeEach(() => {
  folder = temporaryFolder('script-log');
  logs = new ScriptLogs(folder);
});

const words = ({ channel, data, partial }: LogEntry) => `${channel[3]} ${data.toString()}${partial ? '…' : ''}`;

async function read(options: { cursor?: string; tail?: number } = {}): Promise<LogEntry[]> {
  const found: LogEntry[] = [];
  for await (const entry of logs.inPlaceOf('gpuaas-job.one')?.read({ follow: false, signal, ...options }) ?? [])
    found.push(entry);
  return found;
}

describe('the log of a script', () => {
  it('has channels, lines and parts of lines as they came, each at a time of its own', async () => {
    const log = logs.open('job', 'one', limits);
    log.push('stdout', 'a\nb');
    log.push('stderr', 'wrong\n');
    log.push('stdout', 'c\n');
    log.push('stdout', 'open');
    log.endLines();
    log.push('stderr', 'next\n');

    const found = await read();
    expect(found.map(words)).toEqual(['o a', 'o b…', 'e wrong', 'o c', 'o open…', 'o ', 'e next']);
    expect(new Set(found.map(({ time }) => time)).size).toBe(7);
  });

  it('goes on behind a cursor, also for the next process, and gives its last lines', async () => {
    logs.open('job', 'one', limits).push('stdout', '1\n2\n3\n');
    const [, second] = await read();
    logs = new ScriptLogs(folder);
    appendFileSync(join(folder, 'gpuaas-job.one/1.log'), '["half');
    logs.open('job', 'one', limits).push('stderr', '4\n');

    expect((await read({ cursor: second?.cursor ?? '' })).map(words)).toEqual(['o 3', 'e 4']);
    expect((await read({ tail: 2 })).map(words)).toEqual(['o 3', 'e 4']);
  });

  it('is followed to its end', async () => {
    const log = logs.open('job', 'one', limits);
    const found: string[] = [];
    const following = (async () => {
      for await (const entry of log.read({ follow: true, signal })) found.push(words(entry));
    })();
    for (const text of ['1\n', '2\n']) {
      log.push('stdout', text);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    log.end();
    await following;

    expect(found).toEqual(['o 1', 'o 2']);
  });

  it('takes no more of the disk than it may, and tells who is slower of a gap', async () => {
    const log = logs.open('job', 'one', limits);
    log.push('stdout', 'first\n');
    const slow = log.read({ follow: true, signal });
    const first = (await slow.next()).value as LogEntry;
    for (let index = 0; index < 6000; index += 1) log.push('stdout', `${'x'.repeat(1000)} ${index}\n`);
    const names = readdirSync(join(folder, 'gpuaas-job.one'));
    const bytes = names.map((name) => statSync(join(folder, 'gpuaas-job.one', name)).size);

    expect(names).toHaveLength(2);
    expect(Math.max(...bytes)).toBeLessThanOrEqual(2 ** 20);
    const [next] = await read({ cursor: first.cursor });
    expect([next?.afterGap, (await read()).at(-1)?.data.toString().endsWith(' 5999')]).toEqual([true, true]);
    await slow.return(undefined);
  });

  it('goes with its job, and that of another one stays', async () => {
    logs.open('job', 'one', limits).push('stdout', 'x\n');
    logs.open('job-2', 'one', limits).push('stdout', 'y\n');
    logs.forget('job');

    expect(logs.inPlaceOf('gpuaas-job.one')).toBeUndefined();
    expect(readdirSync(folder)).toEqual(['gpuaas-job-2.one']);
  });
});

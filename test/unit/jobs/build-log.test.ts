/** What a build says, read while it says it. */
import { expect, it } from 'vitest';
import { BuildLogs } from '../../../src/jobs/build-log.ts';
import type { LogEntry } from '../../../src/runtime/engine.ts';

const { signal } = new AbortController();
const open = () => new BuildLogs().open('job-1', 'build');
const all = { follow: false, signal } as const;
const textOf = ({ data, partial }: LogEntry) => `${data}${partial ? '…' : ''}`;
type Log = ReturnType<typeof open>;
const read = async (log: Log, from: { cursor?: string; tail?: number } = {}) =>
  (await Array.fromAsync(log.read({ ...all, ...from }))).map(textOf);

it('has it in lines, of which each has a place of its own, however quickly they come', async () => {
  const log = open();
  for (const text of ['one\ntwo\n', 'ha', 'lf\n', '\n', `${'ä'.repeat(5000)}\n`]) log.push(text);

  const entries = await Array.fromAsync(log.read(all));

  const texts = ['one', 'two', 'ha…', 'lf', '', `${'ä'.repeat(4096)}…`, 'ä'.repeat(904)];
  expect(entries.map(textOf)).toEqual(texts);
  expect(new Set(entries.map(({ time }) => time)).size).toBe(5);
  for (const [index, { cursor }] of entries.entries()) {
    expect(await read(log, { cursor })).toEqual(texts.slice(index + 1));
  }
  expect(await read(log, { tail: 3 })).toEqual(texts.slice(-3));
  expect([await read(log, { tail: 0 }), await read(log, { tail: 100 })]).toEqual([[], texts]);
});

it('is followed to the end of the build', async () => {
  const log = open();
  log.push('first\n');
  const following = log.read({ follow: true, signal });
  const texts: string[] = [];
  const reading = (async () => {
    for await (const entry of following) texts.push(textOf(entry));
  })();
  await expect.poll(() => texts).toEqual(['first']);

  log.push('second\n');
  await expect.poll(() => texts).toEqual(['first', 'second']);
  log.push('last');
  log[Symbol.dispose]();
  await reading;

  expect(texts).toEqual(['first', 'second', 'last…']);
});

it('tells who is slower than the build that something is missing, and goes on with what there is', async () => {
  const log = open();
  log.push('first\n');
  const following = log.read({ follow: true, signal });
  const { value: first } = await following.next();
  for (let count = 0; count < 100; count += 1) log.push(`${'x'.repeat(65_536)}\n`);
  log.push('last\n');
  log[Symbol.dispose]();

  const rest = await Array.fromAsync(following);
  const again = await Array.fromAsync(log.read({ ...all, cursor: (first as LogEntry).cursor }));

  expect(rest.flatMap(({ afterGap }, index) => (afterGap ? [index] : []))).toEqual([0]);
  expect([rest.length > 100, textOf(rest.at(-1) as LogEntry)]).toEqual([true, 'last']);
  const placesOf = (entries: readonly LogEntry[]) =>
    entries.map(({ cursor, afterGap = false }) => ({ cursor, afterGap }));
  expect(placesOf(again)).toEqual(placesOf(rest));
});

it('lets go of a reader who leaves', async () => {
  const leaving = new AbortController();
  const next = open().read({ follow: true, signal: leaving.signal }).next();

  leaving.abort(new Error('gone'));

  await expect(next).rejects.toThrow('gone');
});

it('is known by the name of its job for as long as it is open, and a cursor that is none is refused', async () => {
  const logs = new BuildLogs();
  const log = logs.open('job-1', 'build');
  logs.open('job-2', 'build');

  expect([logs.namesOf('job-1'), logs.inPlaceOf('gpuaas-job-1.build')]).toEqual([['build'], log]);
  await expect(read(log, { cursor: 'x' })).rejects.toMatchObject({ code: 'task.invalid' });
  log[Symbol.dispose]();

  expect([logs.namesOf('job-1'), logs.inPlaceOf('gpuaas-job-1.build')]).toEqual([[], undefined]);
});

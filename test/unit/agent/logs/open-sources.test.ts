import { once } from 'node:events';
import { expect, it, vi } from 'vitest';
import type { LogItem } from '../../../../src/agent/logs/log-source.ts';
import { type LogPlaces, openLogSources } from '../../../../src/agent/logs/open-sources.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { BuildLogs } from '../../../../src/jobs/build-log.ts';
import type { LogEntry } from '../../../../src/runtime/engine.ts';

const services = Array.from({ length: 16 }, (_, index) => `s${index}`);

/** Containers that go on without a word; `open` counts whose logs are read. */
function silentStack() {
  const counted = { open: 0 };
  const logs: LogPlaces['engine']['logs'] = async function* (_name, { signal }) {
    counted.open += 1;
    try {
      await new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
      yield {} as LogEntry;
    } finally {
      counted.open -= 1;
    }
  };
  const engine = { logs } as LogPlaces['engine'];
  const sources = openLogSources({ engine, taskLogs: '/nowhere', servicesOf: () => services });
  const follow = () => {
    const stop = new AbortController();
    const reading = sources.read({ kind: 'instance', id: 'a' }, { follow: true, signal: stop.signal });
    return { first: reading.next(), stop: () => stop.abort(new Error('gone')) };
  };
  return { counted, follow };
}

it('readers of stacks leave streams of the gate to whatever else is done on the host', async () => {
  const { counted, follow } = silentStack();
  const readers = [follow(), follow(), follow()];
  const opened = readers.map(({ first }) => first.catch((error: unknown) => error));
  await expect.poll(() => counted.open).toBe(48);

  await expect(follow().first).rejects.toMatchObject({ code: 'logs.exhausted' });

  expect(counted.open).toBe(48);
  readers[0]?.stop();
  await opened[0];
  const later = follow();
  const end = later.first.catch((error: unknown) => error);
  await expect.poll(() => counted.open).toBe(48);
  for (const reader of [...readers, later]) reader.stop();
  await Promise.all([...opened, end]);
  await expect.poll(() => counted.open).toBe(0);
});

/** A job that has no container yet, whose image is built. */
function building() {
  const builds = new BuildLogs();
  const logs: LogPlaces['engine']['logs'] = async function* (container) {
    yield* [];
    throw new AgentError('container.not_found', { container });
  };
  const events: LogPlaces['engine']['events'] = async function* ({ signal }) {
    yield* [];
    await once(signal, 'abort');
  };
  const engine: LogPlaces['engine'] = { logs, events, list: async () => [] };
  const sources = openLogSources({ engine, taskLogs: '/nowhere', servicesOf: () => [], builds });
  const { signal } = new AbortController();
  const read = (service: string | undefined, follow = false, cursor?: string) => {
    const source =
      service === undefined
        ? ({ kind: 'instance', id: 'a' } as const)
        : ({ kind: 'service', id: 'a', service } as const);
    return sources.read(source, { follow, cursor, signal });
  };
  return { log: builds.open('a', 'build'), read };
}

const words = (items: readonly LogItem[]) =>
  items.map((item) => ('gap' in item ? 'gap' : [item.service, item.data.toString()]));

it('what a build says is read as that of a service of its job, while it is at work and for who is slow a minute more', async () => {
  const { log, read } = building();
  log.push('one\n');
  log.push('two\n');
  const following = [read('build', true), read(undefined, true)];
  const first = await Promise.all(following.map((each) => each.next()));
  const { cursor } = { cursor: '', ...first[1]?.value };

  expect(words(await Array.fromAsync(read('build')))).toEqual([
    [undefined, 'one'],
    [undefined, 'two'],
  ]);
  expect(words(await Array.fromAsync(read(undefined, false, cursor)))).toEqual([['build', 'two']]);
  log.push('three\n');
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  log[Symbol.dispose]();
  const rest = await Promise.all(following.map((each) => Array.fromAsync(each)));

  expect(rest.map(words)).toEqual(
    [undefined, 'build'].map((service) => [
      [service, 'two'],
      [service, 'three'],
    ]),
  );
  expect(words(await Array.fromAsync(read(undefined, true, cursor)))).toEqual(
    ['two', 'three'].map((each) => ['build', each]),
  );
  vi.advanceTimersByTime(60_000);
  vi.useRealTimers();
  await expect(read('build').next()).rejects.toMatchObject({ code: 'service.not_found' });
  await expect(read(undefined).next()).rejects.toMatchObject({ code: 'container.not_found' });
});

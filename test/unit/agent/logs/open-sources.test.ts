import { expect, it } from 'vitest';
import { type LogPlaces, openLogSources } from '../../../../src/agent/logs/open-sources.ts';
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

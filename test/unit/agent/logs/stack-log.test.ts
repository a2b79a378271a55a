import { describe, expect, it } from 'vitest';
import type { LogItem } from '../../../../src/agent/logs/log-source.ts';
import { openLogSources } from '../../../../src/agent/logs/open-sources.ts';
import { readStackLog } from '../../../../src/agent/logs/stack-log.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { labels } from '../../../../src/contract/names.ts';
import { LogsOpen, maxCursor } from '../../../../src/contract/session-messages.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { AsyncQueue } from '../../../../src/kit/async-queue.ts';
import type { ContainerSummary, EngineEvent, LogEntry, LogOptions } from '../../../../src/runtime/engine.ts';

const { signal } = new AbortController();
const atOnce = { firstMs: 0, maxMs: 0, factor: 1 };
const at = (seconds: number) => `2026-11-25T10:00:${String(seconds).padStart(2, '0')}.000000000Z`;

/** Logs of `web` and `db` as a test lets them go on; `cursor` of an entry is its place. */
function stack(said: Record<string, readonly (readonly [number, string])[] | undefined>) {
  const live = new Map<string, AsyncQueue<LogEntry>>();
  const events = new AsyncQueue<EngineEvent>();
  const asked: [string, LogOptions][] = [];
  const entry = (second: number, text: string, cursor: string): LogEntry => {
    return { cursor, time: at(second), channel: 'stdout', data: Buffer.from(text), partial: false };
  };
  const logs = async function* (container: string, options: LogOptions): AsyncGenerator<LogEntry> {
    asked.push([container, options]);
    const lines = said[container];
    if (!lines) {
      throw new AgentError('container.not_found', { container });
    }
    const entries = lines.map(([second, text], index) => entry(second, text, `c${index}`));
    yield* entries.slice(options.cursor === undefined ? 0 : Number(options.cursor.slice(1)) + 1);
    if (options.follow) {
      const queue = new AsyncQueue<LogEntry>();
      live.set(container, queue);
      options.signal.addEventListener('abort', () => queue.fail(options.signal.reason), { once: true });
      yield* queue;
    }
  };
  return {
    asked,
    engine: {
      logs,
      events: async function* () {
        yield* events;
      },
      list: async () => [],
    },
    say: (container: string, second: number, text: string) =>
      live.get(container)?.push(entry(second, text, `live-${text}`)),
    end: (container: string) => live.get(container)?.end(),
    started: (container: string) =>
      events.push({ time: at(59), container, instance: 'stack-1', action: 'start', exitCode: null }),
    isFollowed: (container: string) => live.has(container),
    forget: (container: string) => live.delete(container),
  };
}

const web = 'gpuaas-stack-1.web';
const db = 'gpuaas-stack-1.db';
const both = ['web', 'db'];
const words = (items: readonly LogItem[]) =>
  items.map((item) => ('gap' in item ? 'gap' : `${item.service}: ${item.data.toString()}`));
const cursorOf = (item: LogItem | undefined) => (item && 'cursor' in item ? item.cursor : undefined);

describe('the log of a stack', () => {
  it('has a cursor that a session takes, of however many services, and loses none that has no room there', async () => {
    const services = Array.from({ length: 200 }, (_, index) => `service-${'x'.repeat(20)}-${index}`);
    const lines = [[1, 'said']] as const;
    const { engine } = stack(Object.fromEntries(services.map((name) => [`gpuaas-stack-1.${name}`, lines])));
    const read = (cursor?: string) =>
      Array.fromAsync(readStackLog(engine, 'stack-1', services, { cursor, tail: undefined, follow: false, signal }));

    const last = cursorOf((await read()).at(-1)) ?? '';
    const again = await read(last);

    expect(last.length).toBeLessThanOrEqual(maxCursor);
    const placed = last.split(';').map((place) => place.split('@')[0]);
    expect(again.map((item) => 'service' in item && item.service)).toEqual(
      services.filter((name) => !placed.includes(name)),
    );
  });

  it('is that of its services in the order of the times, each entry with its service', async () => {
    const { engine } = stack({
      [web]: [
        [1, 'begin'],
        [4, 'ready'],
      ],
      [db]: [
        [2, 'open'],
        [3, 'load'],
      ],
    });

    const items = await Array.fromAsync(readStackLog(engine, 'stack-1', both, { follow: false, signal }));

    expect(words(items)).toEqual(['web: begin', 'db: open', 'db: load', 'web: ready']);
  });

  it.each([1, 2, 3])(
    'goes on behind the cursor of any entry, with nothing missing and nothing twice (%i)',
    async (nth) => {
      const said = {
        [web]: [
          [1, 'a'],
          [4, 'd'],
        ],
        [db]: [
          [2, 'b'],
          [3, 'c'],
        ],
      } as const;
      const all = await Array.fromAsync(readStackLog(stack(said).engine, 'stack-1', both, { follow: false, signal }));

      const cursor = cursorOf(all[nth - 1]);
      const rest = await Array.fromAsync(
        readStackLog(stack(said).engine, 'stack-1', both, { cursor, tail: 1, follow: false, signal }),
      );

      expect(words(rest)).toEqual(words(all.slice(nth)));
    },
  );

  it('is followed as it comes: a service that says nothing keeps nobody waiting', async () => {
    const world = stack({ [web]: [[1, 'begin']], [db]: [] });
    const log = readStackLog(world.engine, 'stack-1', both, { follow: true, signal }, atOnce);

    const first = await log.next();
    world.say(web, 5, 'five');
    const second = await log.next();
    world.say(db, 3, 'three');
    const third = await log.next();
    await log.return();

    expect(words([first, second, third].map(({ value }) => value as LogItem))).toEqual([
      'web: begin',
      'web: five',
      'db: three',
    ]);
  });

  it('goes on with a service that is started again, behind what it had said, and ends when all have', async () => {
    const world = stack({ [web]: [[1, 'begin']], [db]: [[2, 'open']] });
    const items: LogItem[] = [];
    const log = (async () => {
      for await (const item of readStackLog(world.engine, 'stack-1', both, { follow: true, signal }, atOnce)) {
        items.push(item);
      }
    })();
    await expect.poll(() => items.length).toBe(2);

    world.end(db);
    world.forget(db);
    world.started(db);
    await expect.poll(() => world.isFollowed(db)).toBe(true);
    world.say(db, 9, 'again');
    await expect.poll(() => words(items)).toEqual(['web: begin', 'db: open', 'db: again']);
    world.end(web);
    world.end(db);

    await log;
    expect(world.asked.at(-1)).toMatchObject([db, { cursor: 'c0' }]);
  });

  it('is read as far as there are containers, and is not found where there are none', async () => {
    const half = stack({ [web]: [[1, 'begin']] });

    const items = await Array.fromAsync(readStackLog(half.engine, 'stack-1', both, { follow: false, signal }));

    expect(words(items)).toEqual(['web: begin']);
    await expect(
      Array.fromAsync(readStackLog(stack({}).engine, 'stack-1', both, { follow: false, signal })),
    ).rejects.toMatchObject({ code: 'container.not_found' });
  });

  it.each(['nonsense', 'web@', 'web@c1;', 'WEB@c1', 'web@a@b'])('refuses %j as a cursor', async (cursor) => {
    const { engine } = stack({ [web]: [], [db]: [] });

    await expect(
      Array.fromAsync(readStackLog(engine, 'stack-1', both, { cursor, follow: false, signal })),
    ).rejects.toMatchObject({ code: 'task.invalid' });
  });

  it('has a cursor that a session takes, also with as many services as a stack can have', async () => {
    const place = `stdout=${at(1)}/999999999,stderr=${at(1)}/999999999`;
    const services = Array.from({ length: 16 }, (_, index) => `${'s'.repeat(30)}${index.toString(17)}`);
    const logs = async function* (): AsyncGenerator<LogEntry> {
      yield { cursor: place, time: at(1), channel: 'stdout', data: Buffer.from(''), partial: false };
    };
    const engine = { ...stack({}).engine, logs };

    const items = await Array.fromAsync(readStackLog(engine, 'stack-1', services, { follow: false, signal }));

    const cursor = cursorOf(items.at(-1));
    const open = { source: { kind: 'instance', id: 'stack-1' }, cursor, tail: null, follow: false, bytes: 1 };
    expect(items).toHaveLength(16);
    expect(cursor?.length).toBeLessThan(maxCursor);
    expect(judge(LogsOpen, { type: 'logs_open', stream: 's1', ...open }).ok).toBe(true);
  });
});

describe('the logs of a host', () => {
  const summary = (service: string): ContainerSummary => ({
    ...{ id: service, name: `gpuaas-stack-1.${service}`, status: 'running', cpuCores: 1, memoryBytes: 1 },
    labels: { [labels.instance]: 'stack-1', [labels.service]: service },
  });
  const said = { [web]: [[1, 'begin']], [db]: [[2, 'open']] } as const;
  const read = (source: Parameters<ReturnType<typeof openLogSources>['read']>[0], known?: readonly string[]) => {
    const engine = { ...stack(said).engine, list: async () => both.map(summary) };
    const sources = openLogSources({ engine, taskLogs: '/nowhere', servicesOf: () => known });
    return Array.fromAsync(sources.read(source, { follow: false, signal }));
  };

  it('have a stack as one, also where only its containers know of it', async () => {
    const known = await read({ kind: 'instance', id: 'stack-1' }, both);
    const found = await read({ kind: 'instance', id: 'stack-1' });

    expect(words(known)).toEqual(['web: begin', 'db: open']);
    expect(words(found)).toEqual(['web: begin', 'db: open']);
  });

  it('have each service alone, and no service that there is not', async () => {
    const alone = await read({ kind: 'service', id: 'stack-1', service: 'db' }, both);

    expect(alone).toMatchObject([{ cursor: 'c0' }]);
    expect(alone[0]).not.toHaveProperty('service');
    await expect(read({ kind: 'service', id: 'stack-1', service: 'cache' }, both)).rejects.toMatchObject({
      ...{ code: 'service.not_found', detail: { services: both } },
    });
    await expect(read({ kind: 'service', id: 'stack-1', service: 'cache' })).rejects.toMatchObject({
      code: 'container.not_found',
    });
  });
});

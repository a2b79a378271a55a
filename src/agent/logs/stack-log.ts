/**
 * The logs of the services of a stack as one, each entry with the service that wrote it.
 *
 * What is there already comes in the order of its times. What is written while somebody follows comes as it arrives: a
 * service that has nothing to say keeps nobody waiting. One that ended is read on when it is started again, for as long as
 * another one goes on; the log ends when none of them does.
 */
import { AgentError } from '../../contract/failures.ts';
import { stackCursor } from '../../contract/log-cursor.ts';
import { containerName } from '../../contract/names.ts';
import { maxCursor } from '../../contract/session-messages.ts';
import { type Backoff, backoffDelay, pause } from '../../kit/backoff.ts';
import type { ContainerEngine } from '../../runtime/engine.ts';
import { isPassing, readContainerLog, usualBackoff } from './container-log.ts';
import type { LogItem, ReadOptions } from './log-source.ts';

export type StackLogEngine = Pick<ContainerEngine, 'logs' | 'events'>;

/** How long a service may take to say what it has said before, in milliseconds. */
const settleMs = 100;

/** The cursor of an entry holds the place in each of the logs. `container.not_found` where no service has a container. */
export async function* readStackLog(
  engine: StackLogEngine,
  instance: string,
  services: readonly string[],
  options: ReadOptions,
  backoff = usualBackoff,
): AsyncGenerator<LogItem, void, undefined> {
  const places = options.cursor === undefined ? new Map<string, string>() : parseStackCursor(options.cursor);
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const merge = new Merge();
  for (const service of services) {
    const cursor = places.get(service);
    // A service that had said nothing by then is read whole.
    const own = { ...options, cursor, signal, ...(places.size > 0 ? { tail: undefined } : {}) };
    merge.add(service, readService(engine, containerName(instance, service), own, backoff));
  }
  try {
    for (;;) {
      const next = await merge.next(options.follow, signal);
      if (!next) {
        return;
      }
      const { service, item } = next;
      if ('gap' in item) {
        yield item;
        continue;
      }
      places.set(service, item.cursor);
      yield { ...item, cursor: cursorOf(places), service };
    }
  } finally {
    stop.abort();
  }
}

/** A service that has no room in it is read whole by whoever comes back with it: none of its entries is lost. */
function cursorOf(places: ReadonlyMap<string, string>): string {
  const kept = [...places];
  let cursor = stackCursor(kept);
  for (; cursor.length > maxCursor; cursor = stackCursor(kept)) kept.shift();
  return cursor;
}

/** Stands between two lives of a container. */
const atRest = Symbol('at rest');

async function* readService(
  engine: StackLogEngine,
  container: string,
  { cursor, ...options }: ReadOptions,
  backoff: Backoff,
): AsyncGenerator<LogItem | typeof atRest, void, undefined> {
  let position = cursor;
  for (;;) {
    const since = new Date().toISOString();
    for await (const item of readContainerLog(engine, container, { ...options, cursor: position }, backoff)) {
      position = 'gap' in item ? position : item.cursor;
      yield item;
    }
    if (!options.follow) {
      return;
    }
    yield atRest;
    await started(engine, container, since, options.signal, backoff);
  }
}

/** Resolves when the container is started, at once if it was since then. */
async function started(
  engine: StackLogEngine,
  container: string,
  since: string,
  signal: AbortSignal,
  backoff: Backoff,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      for await (const event of engine.events({ since, signal })) {
        if (event.container === container && event.action === 'start') {
          return;
        }
      }
    } catch (error) {
      if (signal.aborted || !isPassing(error)) {
        throw error;
      }
    }
    await pause(backoffDelay(backoff, attempt), signal);
  }
}

interface Source {
  readonly service: string;
  readonly items: AsyncGenerator<LogItem | typeof atRest>;
  /** What it says next, where that is known. */
  head: LogItem | undefined;
  /** `silent`: nothing is known of it, and nobody waits for it. */
  state: 'reading' | 'silent' | 'resting' | 'over';
}

/** Several logs, of each of which one entry is known at most. */
class Merge {
  readonly #sources: Source[] = [];
  #failure: { readonly error: unknown } | undefined;
  /** That of a service without a container. */
  #gone: unknown;
  #found = false;
  #wake: () => void = () => undefined;

  add(service: string, items: Source['items']): void {
    const source: Source = { service, items, head: undefined, state: 'reading' };
    this.#sources.push(source);
    this.#ask(source);
  }

  /** The next entry of all; undefined at the end of all. Rejects where one of them cannot be read. */
  async next(
    follow: boolean,
    signal: AbortSignal,
  ): Promise<{ readonly service: string; readonly item: LogItem } | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#failure) {
        throw this.#failure.error;
      }
      const known = this.#sources.filter(({ head }) => head !== undefined);
      const awaited = this.#sources.filter(({ head, state }) => head === undefined && state === 'reading');
      const first = known.toSorted((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1))[0];
      if (first?.head && awaited.length === 0) {
        const { service, head: item } = first;
        first.head = undefined;
        this.#ask(first);
        return { service, item };
      }
      if (this.#sources.every(({ state, head }) => head === undefined && (state === 'resting' || state === 'over'))) {
        if (!this.#found && this.#gone !== undefined) {
          throw this.#gone;
        }
        return undefined;
      }
      const isQuiet = await this.#changed(follow && awaited.length > 0 ? settleMs : undefined, signal);
      if (isQuiet) {
        for (const source of awaited.filter(({ head, state }) => head === undefined && state === 'reading')) {
          source.state = 'silent';
        }
      }
    }
  }

  /** Resolves when something is known that was not, with true where nothing was for so long. Rejects with the signal's reason. */
  async #changed(waitMs: number | undefined, signal: AbortSignal): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    const timer = waitMs === undefined ? undefined : setTimeout(resolve, waitMs, true);
    this.#wake = () => resolve(false);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  #ask(source: Source): void {
    source.items.next().then(
      ({ done, value }) => {
        if (done) {
          this.#found = true;
          source.state = 'over';
        } else if (value === atRest) {
          this.#found = true;
          source.state = 'resting';
          this.#ask(source);
        } else {
          source.head = value;
          source.state = source.state === 'reading' ? 'reading' : 'silent';
        }
        this.#wake();
      },
      (error: unknown) => {
        if ((error as { code?: unknown }).code === 'container.not_found') {
          source.state = 'over';
          this.#gone = error;
        } else {
          this.#failure ??= { error };
        }
        this.#wake();
      },
    );
  }
}

/** A gap stands before whatever comes next. */
function timeOf({ head }: Source): string {
  return head && 'time' in head ? head.time : '';
}

const placeText = /^([a-z0-9-]{1,32})@([!-:<-?A-~]{1,256})$/;

function parseStackCursor(text: string): Map<string, string> {
  return new Map(
    text.split(';').map((place) => {
      const [, service, cursor] = placeText.exec(place) ?? [];
      if (service === undefined || cursor === undefined) {
        throw new AgentError('task.invalid', {
          path: '/cursor',
          reason: 'The cursor is not one that this agent gave.',
        });
      }
      return [service, cursor] as const;
    }),
  );
}

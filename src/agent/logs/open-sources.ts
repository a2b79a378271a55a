/**
 * The logs of this host: of each instance and service through the engine, of each build from the process that waits for it, of each
 * task from its file.
 */
import { AgentError } from '../../contract/failures.ts';
import { containerName, labels } from '../../contract/names.ts';
import type { BuildLogs } from '../../jobs/build-log.ts';
import type { ScriptLogs } from '../../jobs/script-log.ts';
import type { ContainerEngine } from '../../runtime/engine.ts';
import { readContainerLog } from './container-log.ts';
import { readKeptOutput } from './kept-output.ts';
import type { LogItem, LogSources, OutputSource, ReadOptions } from './log-source.ts';
import { readStackLog } from './stack-log.ts';
import { isTaskCursor, readTaskLog } from './task-log-file.ts';

export interface LogPlaces {
  readonly engine: Pick<ContainerEngine, 'logs' | 'events' | 'list'>;
  /** Folder of the task logs. */
  readonly taskLogs: string;
  /** Services of a workload that the agent looks after, none for a single container; undefined for one that it does not know. */
  readonly servicesOf?: (instance: string) => readonly string[] | undefined;
  /** Builds are read as if each were a service of its job; none where this process builds nothing. */
  readonly builds?: Pick<BuildLogs, 'inPlaceOf' | 'namesOf'>;
  /** Read in place of what the containers of scripts say, which is nothing. */
  readonly scripts?: Pick<ScriptLogs, 'inPlaceOf'> | undefined;
  /** Shared by all who read here; none for a reader who is alone. */
  readonly serviceLogs?: ServiceLogs;
}

/** Each log of a service is a stream of the gate's, which has 128 for all that is done on this host. */
const mostServiceLogs = 48;

/** Counts the logs that readers of whole stacks have open. */
class ServiceLogs {
  #open = 0;

  /** Room for so many, until it is disposed of; else `logs.exhausted`. */
  take(count: number): { [Symbol.dispose](): void } {
    if (this.#open + count > mostServiceLogs) throw new AgentError('logs.exhausted', { count: this.#open });
    this.#open += count;
    return {
      [Symbol.dispose]: () => {
        this.#open -= count;
      },
    };
  }
}

export function openLogSources(places: LogPlaces): LogSources {
  const shared = { ...withBuilds(places), serviceLogs: new ServiceLogs() };
  return {
    read: (source, options) =>
      source.kind === 'task' ? readTaskLog(places.taskLogs, source.id, options) : readOutput(shared, source, options),
  };
}

function withBuilds(places: LogPlaces): LogPlaces {
  const { engine, servicesOf, builds, scripts } = places;
  if (!builds) return places;
  return {
    ...places,
    engine: {
      ...engine,
      logs: (container, options) =>
        (builds.inPlaceOf(container) ?? scripts?.inPlaceOf(container))?.read(options) ??
        engine.logs(container, options),
    },
    servicesOf: (instance) => {
      const [known, building] = [servicesOf?.(instance), builds.namesOf(instance)];
      return building.length === 0 ? known : [...building, ...(known ?? [])];
    },
  };
}

/**
 * What the containers say; where there are none, what was kept of a launch that failed. Else `container.not_found`. Behind
 * what was kept, a container is one of a later launch and is read from its beginning.
 */
export async function* readOutput(
  places: LogPlaces,
  source: OutputSource,
  options: ReadOptions,
): AsyncGenerator<LogItem, void, undefined> {
  const behindKept = isTaskCursor(options.cursor);
  let begun = options.cursor !== undefined && !behindKept;
  try {
    const own = behindKept ? { ...options, cursor: undefined, tail: undefined } : options;
    for await (const item of readContainers(places, source, own)) {
      begun = true;
      yield item;
    }
  } catch (error) {
    const kept = isGone(error) && !begun ? await readKeptOutput(places.taskLogs, source, options) : undefined;
    if (!kept) {
      throw error;
    }
    yield* kept;
  }
}

async function* readContainers(
  places: LogPlaces,
  source: OutputSource,
  options: ReadOptions,
): AsyncGenerator<LogItem, void, undefined> {
  const { engine } = places;
  const known = places.servicesOf?.(source.id);
  if (source.kind === 'service') {
    const { service } = source;
    if (known && !known.includes(service)) {
      throw new AgentError('service.not_found', { services: [...known] });
    }
    yield* readContainerLog(engine, containerName(source.id, service), options);
    return;
  }
  if (known && known.length > 0) {
    yield* readServices(places, source.id, known, options);
    return;
  }
  let begun = false;
  try {
    for await (const item of readContainerLog(engine, containerName(source.id), options)) {
      begun = true;
      yield item;
    }
  } catch (error) {
    // A stack that is being launched, or that only its containers know of.
    const services = isGone(error) && !begun && !known ? await listed(engine, source.id, options.signal) : [];
    if (services.length === 0) {
      throw error;
    }
    yield* readServices(places, source.id, services, options);
  }
}

async function* readServices(
  { engine, serviceLogs }: LogPlaces,
  instance: string,
  services: readonly string[],
  options: ReadOptions,
): AsyncGenerator<LogItem, void, undefined> {
  using _room = serviceLogs?.take(services.length);
  yield* readStackLog(engine, instance, services, options);
}

async function listed(engine: Pick<ContainerEngine, 'list'>, instance: string, signal: AbortSignal): Promise<string[]> {
  const its = (await engine.list(signal)).filter(({ labels: of }) => of[labels.instance] === instance);
  return its.flatMap(({ labels: of }) => of[labels.service] ?? []).sort();
}

function isGone(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'container.not_found';
}

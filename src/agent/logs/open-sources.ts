/** The logs of this host: of each instance through the engine, of each task from its file. */
import type { ContainerEngine } from '../../runtime/engine.ts';
import { readInstanceLog } from './instance-log.ts';
import { readKeptOutput } from './kept-output.ts';
import type { LogItem, LogSources, ReadOptions } from './log-source.ts';
import { isTaskCursor, readTaskLog } from './task-log-file.ts';

export interface LogPlaces {
  readonly engine: Pick<ContainerEngine, 'logs'>;
  /** Folder of the task logs. */
  readonly taskLogs: string;
}

export function openLogSources(places: LogPlaces): LogSources {
  return {
    read: (source, options) =>
      source.kind === 'instance'
        ? readOutput(places, source.id, options)
        : readTaskLog(places.taskLogs, source.id, options),
  };
}

/**
 * What the container says; where there is none, what was kept of a launch that failed. Else `container.not_found`. Behind what
 * was kept, a container is one of a later launch and is read from its beginning.
 */
export async function* readOutput(
  { engine, taskLogs }: LogPlaces,
  instance: string,
  options: ReadOptions,
): AsyncGenerator<LogItem, void, undefined> {
  const behindKept = isTaskCursor(options.cursor);
  let begun = options.cursor !== undefined && !behindKept;
  try {
    const own = behindKept ? { ...options, cursor: undefined, tail: undefined } : options;
    for await (const item of readInstanceLog(engine, instance, own)) {
      begun = true;
      yield item;
    }
  } catch (error) {
    const kept = isGone(error) && !begun ? await readKeptOutput(taskLogs, instance, options) : undefined;
    if (!kept) {
      throw error;
    }
    yield* kept;
  }
}

function isGone(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'container.not_found';
}

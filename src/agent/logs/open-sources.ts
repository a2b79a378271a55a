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

/** What the container says; where there is none, what was kept of a launch that failed. Else `container.not_found`. */
export async function* readOutput(
  { engine, taskLogs }: LogPlaces,
  instance: string,
  options: ReadOptions,
): AsyncGenerator<LogItem, void, undefined> {
  if (!isTaskCursor(options.cursor)) {
    let begun = options.cursor !== undefined;
    try {
      for await (const item of readInstanceLog(engine, instance, options)) {
        begun = true;
        yield item;
      }
      return;
    } catch (error) {
      const kept = isGone(error) && !begun ? await readKeptOutput(taskLogs, instance, options) : undefined;
      if (!kept) {
        throw error;
      }
      return yield* kept;
    }
  }
  yield* (await readKeptOutput(taskLogs, instance, options)) ?? [];
}

function isGone(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'container.not_found';
}

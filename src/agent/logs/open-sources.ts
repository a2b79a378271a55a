/** The logs of this host: of each instance through the engine, of each task from its file. */
import type { ContainerEngine } from '../../runtime/engine.ts';
import { readInstanceLog } from './instance-log.ts';
import type { LogSources } from './log-source.ts';
import { readTaskLog } from './task-log-file.ts';

export interface LogPlaces {
  readonly engine: Pick<ContainerEngine, 'logs'>;
  /** Folder of the task logs. */
  readonly taskLogs: string;
}

export function openLogSources({ engine, taskLogs }: LogPlaces): LogSources {
  return {
    read: (source, options) =>
      source.kind === 'instance'
        ? readInstanceLog(engine, source.id, options)
        : readTaskLog(taskLogs, source.id, options),
  };
}

/** Where an explanation gets its facts. Any of them may be silent; the explanation then says so. */
import { readdir } from 'node:fs/promises';
import { containerName } from '../../contract/names.ts';
import { type KernelLine, readKernelLog } from '../../host/kernel-log.ts';
import type { ContainerEngine, ContainerFacts, EngineEvent } from '../../runtime/engine.ts';
import type { Journal } from '../journal/journal.ts';
import { readTaskLog } from '../logs/task-log-file.ts';
import type { LogFacts } from './task-story.ts';

export type JournalFacts = Pick<Journal, 'task' | 'tasks' | 'workload' | 'events'>;

export interface ExplainSources {
  /** Undefined where there is none that can be read. */
  readonly journal: JournalFacts | undefined;
  /** Newest lines of a task's log, oldest first; empty where there is none. */
  taskLog(taskId: string, signal: AbortSignal): Promise<LogFacts[]>;
  /** Tasks whose log says that they are about this instance. */
  tasksWithLog(instance: string, signal: AbortSignal): Promise<string[]>;
  container(instance: string, signal: AbortSignal): Promise<ContainerFacts | undefined>;
  /** What the engine still remembers of it. */
  engineEvents(instance: string, since: string, signal: AbortSignal): Promise<EngineEvent[]>;
  /** Undefined where this user may not read it. */
  kernelLog(): readonly KernelLine[] | undefined;
}

export interface ExplainPlaces {
  readonly engine: Pick<ContainerEngine, 'inspect' | 'events'>;
  readonly journal: JournalFacts | undefined;
  readonly taskLogs: string;
}

/** Lines of one task log that are looked at. A long installation has more, and its end is what matters. */
const maxLines = 5000;

export function explainSources({ engine, journal, taskLogs }: ExplainPlaces): ExplainSources {
  return {
    journal,
    taskLog: (taskId, signal) => readFacts(taskLogs, taskId, { tail: maxLines, signal }),
    tasksWithLog: (instance, signal) => tasksWithLog(taskLogs, instance, signal),
    container: (instance, signal) => engine.inspect(containerName(instance), signal),
    engineEvents: async (instance, since, signal) => {
      const until = new Date().toISOString();
      const events = await Array.fromAsync(engine.events({ since, until, signal }));
      return events.filter((event) => event.instance === instance);
    },
    kernelLog: () => readKernelLog(),
  };
}

async function readFacts(
  folder: string,
  taskId: string,
  { tail, signal }: { tail: number; signal: AbortSignal },
): Promise<LogFacts[]> {
  const facts: LogFacts[] = [];
  let line = '';
  try {
    for await (const item of readTaskLog(folder, taskId, { tail, follow: false, signal })) {
      if ('gap' in item) {
        continue;
      }
      line += item.data.toString('utf8');
      if (!item.partial) {
        facts.push(...parsed(line));
        line = '';
      }
    }
  } catch (error) {
    if ((error as { code?: string }).code !== 'logs.not_found') {
      throw error;
    }
  }
  return facts;
}

/** Nothing for a line that a full disk or a crash has cut. */
function parsed(line: string): LogFacts[] {
  try {
    const value = JSON.parse(line) as LogFacts;
    return typeof value.time === 'string' ? [value] : [];
  } catch (error) {
    if (error instanceof SyntaxError) {
      return [];
    }
    throw error;
  }
}

const suffix = '.ndjson';

/** The first line of each log names the instance. */
async function tasksWithLog(folder: string, instance: string, signal: AbortSignal): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const found: string[] = [];
  for (const name of names.filter((each) => each.endsWith(suffix))) {
    const taskId = name.slice(0, -suffix.length);
    const log = readTaskLog(folder, taskId, { follow: false, signal });
    const first = await log.next();
    await log.return();
    const facts = first.value && 'data' in first.value ? parsed(first.value.data.toString('utf8')) : [];
    if (facts[0]?.['instance'] === instance) {
      found.push(taskId);
    }
  }
  return found;
}

/** Where an explanation gets its facts. Any of them may be silent; the explanation then says so. */
import { containerName, labels } from '../../contract/names.ts';
import { type KernelLine, readKernelLog } from '../../host/kernel-log.ts';
import { type OutputState, outputStates } from '../../jobs/outputs/spool.ts';
import type { ContainerEngine, ContainerFacts, EngineEvent } from '../../runtime/engine.ts';
import type { Journal } from '../journal/journal.ts';
import { type LogFacts, readTaskLines, tasksOf } from '../logs/task-lines.ts';

export interface JournalFacts extends Pick<Journal, 'task' | 'tasks' | 'workload' | 'events'> {
  readonly jobs: Pick<Journal['jobs'], 'outline' | 'resultsOf'>;
}

export interface ExplainSources {
  /** Undefined where there is none that can be read. */
  readonly journal: JournalFacts | undefined;
  /** Newest lines of a task's log, oldest first; empty where there is none. */
  taskLog(taskId: string, signal: AbortSignal): Promise<LogFacts[]>;
  /** Tasks whose log says that they are about this instance. */
  tasksWithLog(instance: string, signal: AbortSignal): Promise<string[]>;
  /** That of the instance, or those of the services of its stack. */
  containers(instance: string, signal: AbortSignal): Promise<readonly ContainerFacts[]>;
  /** What became of each output of a job that this host has kept, by name. */
  jobOutputs(job: string): Promise<ReadonlyMap<string, OutputState>>;
  /** What the engine still remembers of it. */
  engineEvents(instance: string, since: string, signal: AbortSignal): Promise<EngineEvent[]>;
  /** Undefined where this user may not read it. */
  kernelLog(): readonly KernelLine[] | undefined;
}

export interface ExplainPlaces {
  readonly engine: Pick<ContainerEngine, 'inspect' | 'list' | 'events'>;
  readonly journal: JournalFacts | undefined;
  readonly taskLogs: string;
  /** Folder of what is kept of jobs. */
  readonly outputs: string;
}

/** Lines of one task log that are looked at. A long installation has more, and its end is what matters. */
const maxLines = 5000;

export function explainSources({ engine, journal, taskLogs, outputs }: ExplainPlaces): ExplainSources {
  return {
    journal,
    taskLog: (taskId, signal) => readFacts(taskLogs, taskId, { tail: maxLines, signal }),
    tasksWithLog: async (instance, signal) => (await tasksOf(taskLogs, instance, signal)).map(({ taskId }) => taskId),
    containers: (instance, signal) => containersOf(instance, { engine, journal }, signal),
    jobOutputs: (job) => outputStates(outputs, job),
    engineEvents: async (instance, since, signal) => {
      const until = new Date().toISOString();
      const events = await Array.fromAsync(engine.events({ since, until, signal }));
      return events.filter((event) => event.instance === instance);
    },
    kernelLog: () => readKernelLog(),
  };
}

async function containersOf(
  instance: string,
  { engine, journal }: Pick<ExplainPlaces, 'engine' | 'journal'>,
  signal: AbortSignal,
): Promise<ContainerFacts[]> {
  const services = journal?.workload(instance)?.stack?.services.map(({ service }) => service);
  const single = services ? undefined : await engine.inspect(containerName(instance), signal);
  if (single) {
    return [single];
  }
  const names =
    services?.map((service) => containerName(instance, service)) ??
    (await engine.list(signal)).filter(({ labels: of }) => of[labels.instance] === instance).map(({ name }) => name);
  const facts = await Promise.all(names.map((name) => engine.inspect(name, signal)));
  return facts.filter((each) => each !== undefined);
}

async function readFacts(
  folder: string,
  taskId: string,
  { tail, signal }: { tail: number; signal: AbortSignal },
): Promise<LogFacts[]> {
  const lines: LogFacts[] = [];
  try {
    for await (const { facts } of readTaskLines(folder, taskId, { tail, signal })) {
      lines.push(facts);
    }
  } catch (error) {
    if ((error as { code?: string }).code !== 'logs.not_found') {
      throw error;
    }
  }
  return lines;
}

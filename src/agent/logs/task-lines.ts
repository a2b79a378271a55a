/** Task logs as what they are: lines of JSON. For whoever looks into them instead of showing them. */
import { readdir } from 'node:fs/promises';
import { readTaskLog } from './task-log-file.ts';

/** One line of a task log. */
export type LogFacts = Readonly<Record<string, unknown>> & { readonly time: string; readonly msg: string };

interface TaskLine {
  /** Position behind the line. */
  readonly cursor: string;
  readonly facts: LogFacts;
}

export interface LineOptions {
  readonly tail?: number;
  readonly cursor?: string | undefined;
  readonly signal: AbortSignal;
}

/** Oldest first. `logs.not_found` where there is no such log. Passes over what a full disk or a crash has cut. */
export async function* readTaskLines(
  folder: string,
  taskId: string,
  options: LineOptions,
): AsyncGenerator<TaskLine, void, undefined> {
  // Its entries may share a character.
  let line: Buffer[] = [];
  for await (const item of readTaskLog(folder, taskId, { ...options, follow: false })) {
    if ('gap' in item) {
      continue;
    }
    line.push(item.data);
    if (!item.partial) {
      const facts = parsed(Buffer.concat(line).toString('utf8'));
      line = [];
      if (facts) {
        yield { cursor: item.cursor, facts };
      }
    }
  }
}

const suffix = '.ndjson';

/** The first line of each log that is about this instance. */
export async function tasksOf(
  folder: string,
  instance: string,
  signal: AbortSignal,
): Promise<{ readonly taskId: string; readonly begun: LogFacts }[]> {
  const names = await readdir(folder).catch(() => []);
  const found: { taskId: string; begun: LogFacts }[] = [];
  for (const name of names.filter((each) => each.endsWith(suffix))) {
    const taskId = name.slice(0, -suffix.length);
    const log = readTaskLog(folder, taskId, { follow: false, signal });
    const first = await log.next();
    await log.return();
    const begun = first.value && 'data' in first.value ? parsed(first.value.data.toString('utf8')) : undefined;
    if (begun?.['instance'] === instance) {
      found.push({ taskId, begun });
    }
  }
  return found;
}

function parsed(line: string): LogFacts | undefined {
  try {
    const value = JSON.parse(line) as LogFacts;
    return typeof value.time === 'string' ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}

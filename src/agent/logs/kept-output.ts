/**
 * The output of a launch that failed: its container is gone, and the end of what it said is in the log of the launch
 * (see `tasks/keep-output.ts`). Only the newest launch counts: an older one says nothing about the workload as it is.
 */
import { isLaunch } from '../../contract/tasks.ts';
import type { LogChannel } from '../../runtime/engine.ts';
import { keptOutput, longerOutput } from '../../tasks/keep-output.ts';
import type { LogItem, OutputSource, ReadOptions } from './log-source.ts';
import { type LogFacts, readTaskLines, tasksOf } from './task-lines.ts';

/** Undefined where nothing was kept; of the service alone, where one is asked for. Cursors are those of the task log. */
export async function readKeptOutput(
  folder: string,
  source: OutputSource,
  { cursor, tail, signal }: ReadOptions,
): Promise<LogItem[] | undefined> {
  const its = (await tasksOf(folder, source.id, signal))
    .filter(({ begun }) => isLaunch(String(begun['task_type'])))
    .sort((a, b) => Date.parse(a.begun.time) - Date.parse(b.begun.time));
  const newest = its.at(-1);
  if (!newest) {
    return undefined;
  }
  const items: LogItem[] = [];
  for await (const { cursor: behind, facts } of readTaskLines(folder, newest.taskId, { cursor, signal })) {
    items.push(...itemsOf(facts, behind, source));
  }
  if (items.length === 0 && cursor === undefined) {
    return undefined;
  }
  return tail === undefined || cursor !== undefined ? items : items.slice(Math.max(0, items.length - tail));
}

function itemsOf({ msg, ...line }: LogFacts, cursor: string, source: OutputSource): LogItem[] {
  const service = line['service'] === undefined ? undefined : String(line['service']);
  if (source.kind === 'service' && source.service !== service) {
    return [];
  }
  if (msg === longerOutput) {
    return [{ gap: true, dropped: null }];
  }
  if (msg !== keptOutput) {
    return [];
  }
  const channel = line['channel'] as LogChannel;
  const data = Buffer.from(String(line['text']));
  const of = source.kind === 'instance' && service !== undefined ? { service } : {};
  return [{ cursor, time: String(line['time_of_event']), channel, data, partial: false, ...of }];
}

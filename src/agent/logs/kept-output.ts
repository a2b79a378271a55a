/**
 * The output of a launch that failed: its container is gone, and the end of what it said is in the log of the launch
 * (see `tasks/keep-output.ts`). Only the newest launch counts: an older one says nothing about the workload as it is.
 */
import type { LogChannel } from '../../runtime/engine.ts';
import { keptOutput, longerOutput } from '../../tasks/keep-output.ts';
import type { LogItem, ReadOptions } from './log-source.ts';
import { type LogFacts, readTaskLines, tasksOf } from './task-lines.ts';

/** Undefined where nothing was kept. The cursors of its entries are those of the task log. */
export async function readKeptOutput(
  folder: string,
  instance: string,
  { cursor, tail, signal }: ReadOptions,
): Promise<LogItem[] | undefined> {
  const launches = (await tasksOf(folder, instance, signal))
    .filter(({ begun }) => begun['task_type'] === 'workload.oci_launch')
    .sort((a, b) => Date.parse(a.begun.time) - Date.parse(b.begun.time));
  const newest = launches.at(-1);
  if (!newest) {
    return undefined;
  }
  const items: LogItem[] = [];
  for await (const { cursor: behind, facts } of readTaskLines(folder, newest.taskId, { cursor, signal })) {
    items.push(...itemsOf(facts, behind));
  }
  if (items.length === 0 && cursor === undefined) {
    return undefined;
  }
  return tail === undefined || cursor !== undefined ? items : items.slice(Math.max(0, items.length - tail));
}

function itemsOf({ msg, ...line }: LogFacts, cursor: string): LogItem[] {
  if (msg === longerOutput) {
    return [{ gap: true, dropped: null }];
  }
  if (msg !== keptOutput) {
    return [];
  }
  const channel = line['channel'] as LogChannel;
  const data = Buffer.from(String(line['text']));
  return [{ cursor, time: String(line['time_of_event']), channel, data, partial: false }];
}

/**
 * The log of a task, read from its files while the task may still write them.
 *
 * A position is `task=<file>:<offset of the line>+<bytes of it that were read>`: it stays true when the file is rotated
 * to its second name, and shows when even that one is gone. Following costs nothing while nothing is written.
 */
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { type FileLine, readFileLines } from './file-lines.ts';
import { type FileWatch, watchFile } from './file-watch.ts';
import type { LogItem, ReadOptions, SourceEntry } from './log-source.ts';
import { newerThan, type OpenFile, openFile } from './rotated-file.ts';

interface Position {
  /** See `rotated-file.ts`. */
  readonly file: string;
  readonly offset: number;
  /** Bytes of the line at the offset that were read before. */
  readonly within: number;
}

const cursorText = /^task=([0-9a-f]{16}):(\d{1,15})\+(\d{1,15})$/;
const maxEntryBytes = 16 * 1024;

/** `logs.not_found` if there is none. Followed, it ends with the task, or with the folder of its log. */
export async function* readTaskLog(
  folder: string,
  taskId: string,
  { cursor, tail, follow, signal }: ReadOptions,
): AsyncGenerator<LogItem, void, undefined> {
  const path = join(folder, `${taskId}.ndjson`);
  const position = cursor === undefined ? undefined : parseCursor(cursor);
  const file = await openFile(path, position?.file);
  if (!file) {
    throw new AgentError('logs.not_found', { task_id: taskId });
  }
  // Watched before it is read: what is written in between is noticed.
  const changes = follow ? watchFile(path, signal) : undefined;
  try {
    const skip = position === undefined && tail !== undefined ? (await countLines(path)) - tail : 0;
    yield* readFiles(path, file, { position, skip, changes, signal });
  } finally {
    changes?.close();
  }
}

interface Reading {
  readonly position: Position | undefined;
  /** Lines at the beginning that nobody wants. */
  readonly skip: number;
  readonly changes: FileWatch | undefined;
  readonly signal: AbortSignal;
}

async function* readFiles(path: string, first: OpenFile, { position, skip, changes, signal }: Reading) {
  let file = first;
  let left = skip;
  let place: Position = { file: first.id, offset: 0, within: 0 };
  if (position?.file === first.id) {
    place = position;
  } else if (position) {
    yield lost;
  }
  try {
    for (let ended = false; ; ) {
      // Asked before it is read to its end: a file that has a successor is written no more.
      const newer = await newerThan(path, file.id);
      for await (const line of readFileLines(file.handle, place.offset)) {
        signal.throwIfAborted();
        left -= 1;
        if (left < 0) {
          yield* entriesOf(line, place);
        }
        place = { file: file.id, offset: line.end, within: 0 };
        ended = isEnd(line);
      }
      const next = newer && (await openFile(path, newer.id));
      if (next) {
        await file.handle.close();
        file = next;
        place = { file: next.id, offset: 0, within: 0 };
        if (!newer.follows || next.id !== newer.id) {
          yield lost;
        }
      } else if (!changes || ended || !(await changes.changed())) {
        return;
      }
    }
  } finally {
    await file.handle.close();
  }
}

const lost: LogItem = { gap: true, dropped: null };

/** Counted at once and not kept: a task log has a bound, but it may be a large one. */
async function countLines(path: string): Promise<number> {
  let count = 0;
  for (let file = await openFile(path); file; ) {
    const { id, handle } = file;
    try {
      for await (const _line of readFileLines(handle, 0)) {
        count += 1;
      }
    } finally {
      await handle.close();
    }
    const newer = await newerThan(path, id);
    file = newer && (await openFile(path, newer.id));
  }
  return count;
}

function* entriesOf({ start, data }: FileLine, place: Position): Generator<SourceEntry, void, undefined> {
  const skipped = place.offset === start ? place.within : 0;
  const time = timeText.exec(data.toString('latin1', 0, maxEntryBytes))?.[1] ?? new Date(0).toISOString();
  // An empty line is an entry, too.
  for (let from = skipped; from < data.length || (from === 0 && data.length === 0); from += maxEntryBytes) {
    const end = Math.min(from + maxEntryBytes, data.length);
    yield {
      ...{ cursor: `task=${place.file}:${start}+${end}`, time, channel: 'task' },
      ...{ data: data.subarray(from, end), partial: end < data.length },
    };
    if (data.length === 0) {
      return;
    }
  }
}

/** As the log of the agent writes it; a line without it is from nobody. */
const timeText = /"time":"(\d{4}-\d\d-\d\dT[\d:.]{8,18}Z)"/;

/** The last line of a task, unless it is carried out again after it was interrupted. */
function isEnd({ data }: FileLine): boolean {
  return data.includes('"msg":"task ends"');
}

/** True for a position in a task log. */
export function isTaskCursor(cursor: string | undefined): boolean {
  return cursor !== undefined && cursorText.test(cursor);
}

function parseCursor(text: string): Position {
  const [, file, offset, within] = cursorText.exec(text) ?? [];
  if (file === undefined) {
    throw new AgentError('task.invalid', { path: '/cursor', reason: 'The cursor is not one that this agent gave.' });
  }
  return { file, offset: Number(offset), within: Number(within) };
}

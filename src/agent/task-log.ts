/**
 * The structured log of each task: NDJSON on disk, one file per task, bounded in size and number.
 *
 * Values are redacted by allow-list before they are written; what was unsealed during the task is taken out of the
 * finished line as well, so that a workload that prints its own token does not put it here.
 */
import { appendFileSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { DestinationStream } from 'pino';
import { createLog, type Log } from '../kit/log.ts';

export interface TaskLogOptions {
  readonly folder: string;
  readonly level: string;
  /** Bytes of one file; beyond it the file is rotated once, so a task never holds more than twice this. */
  readonly maxBytes: number;
  /** Task logs that are kept; the oldest go first. */
  readonly maxTasks: number;
}

export interface TaskLog {
  readonly log: Log;
  /** Keeps this text out of every later line. */
  hide(secret: string): void;
  /** Takes hidden text out of a value that leaves the agent. */
  clean<T>(value: T): T;
}

/** Where the logs of all tasks are. */
export function taskLogFolder({ state_dir }: { readonly state_dir: string }): string {
  return join(state_dir, 'task-logs');
}

/** Shorter texts are no secrets, and taking them out would shred everything else. */
const shortestSecret = 6;

export function openTaskLog(taskId: string, base: Record<string, unknown>, options: TaskLogOptions): TaskLog {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  removeOldest(options.folder, options.maxTasks);
  let hidden: readonly string[] = [];
  const clean = <T>(value: T): T => (hidden.length === 0 ? value : (withoutTexts(value, hidden) as T));
  const cleanLine = (line: string) => (hidden.length === 0 ? line : `${JSON.stringify(clean(JSON.parse(line)))}\n`);

  return {
    log: createLog({
      level: options.level,
      base: { task_id: taskId, ...base },
      destination: rotatingFile(join(options.folder, `${taskId}.ndjson`), options.maxBytes, cleanLine),
    }),
    hide: (secret) => {
      const texts = [secret, ...secret.split(/\r?\n/)].filter(({ length }) => length >= shortestSecret);
      // Also as they stand in a JSON text and in a URL. The longest goes first: it may contain another one.
      const spellings = texts.flatMap((text) => [
        text,
        JSON.stringify(text).slice(1, -1),
        encodeURIComponent(text.toWellFormed()),
      ]);
      hidden = [...new Set([...hidden, ...spellings])].sort((a, b) => b.length - a.length);
    },
    clean,
  };
}

/** A copy of a JSON value with the texts taken out of every string in it; keys and everything else stay. */
function withoutTexts(value: unknown, texts: readonly string[]): unknown {
  if (typeof value === 'string') {
    return texts.reduce((rest, text) => rest.replaceAll(text, '[redacted]'), value);
  }
  if (Array.isArray(value)) {
    return value.map((each) => withoutTexts(each, texts));
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutTexts(inner, texts)]));
  }
  return value;
}

/** Never throws on writing: a full disk costs log lines, not workloads. What was lost is counted in the next line. */
function rotatingFile(file: string, maxBytes: number, clean: (line: string) => string): DestinationStream {
  let size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  let lost = 0;
  return {
    write(line: string) {
      const text = clean(line);
      const gap =
        lost === 0
          ? ''
          : `${JSON.stringify({ level: 'error', time: new Date().toISOString(), count: lost, msg: 'log lines were lost' })}\n`;
      const bytes = Buffer.byteLength(gap + text);
      try {
        if (size > 0 && size + bytes > maxBytes) {
          renameSync(file, `${file}.1`);
          size = 0;
        }
        appendFileSync(file, gap + text, { mode: 0o600 });
        size += bytes;
        lost = 0;
      } catch (error) {
        lost += 1;
        if (lost === 1) {
          process.stderr.write(`${file}: ${(error as Error).message}\n`);
        }
      }
    },
  };
}

function removeOldest(folder: string, keep: number): void {
  const files = readdirSync(folder).filter((name) => name.endsWith('.ndjson'));
  if (files.length < keep) {
    return;
  }
  const byAge = files
    .map((name) => ({ name, time: statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => a.time - b.time);
  for (const { name } of byAge.slice(0, files.length - keep + 1)) {
    rmSync(join(folder, name), { force: true });
    rmSync(join(folder, `${name}.1`), { force: true });
  }
}

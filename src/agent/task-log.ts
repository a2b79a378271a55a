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
import { HiddenTexts } from './hidden-texts.ts';

export interface TaskLogOptions {
  readonly folder: string;
  readonly level: string;
  /** Bytes of one file; beyond it the file is rotated once, so a task never holds more than twice this. */
  readonly maxBytes: number;
  /** Task logs that are kept; the oldest go first. */
  readonly maxTasks: number;
  /** Takes every line as well, when nothing hidden is in it any more. */
  readonly also?: { write(line: string): void } | undefined;
}

export interface TaskLog {
  readonly log: Log;
  /** Keeps this secret out of every later line. */
  hide(secret: string | Buffer): void;
  /** Takes hidden text out of a value that leaves the agent. */
  clean<T>(value: T): T;
  /** The texts that are hidden. */
  readonly hidden: HiddenTexts;
}

/** Where the logs of all tasks are. */
export function taskLogFolder({ state_dir }: { readonly state_dir: string }): string {
  return join(state_dir, 'task-logs');
}

export function openTaskLog(taskId: string, base: Record<string, unknown>, options: TaskLogOptions): TaskLog {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  removeOldest(options.folder, options.maxTasks);
  const hidden = new HiddenTexts();
  const cleanLine = (line: string) => (hidden.isEmpty ? line : `${JSON.stringify(hidden.clean(JSON.parse(line)))}\n`);

  return {
    log: createLog({
      level: options.level,
      base: { task_id: taskId, ...base },
      destination: rotatingFile(join(options.folder, `${taskId}.ndjson`), options.maxBytes, (line) => {
        const clean = cleanLine(line);
        options.also?.write(clean);
        return clean;
      }),
    }),
    hide: (secret) => hidden.hide(secret),
    clean: (value) => hidden.clean(value),
    hidden,
  };
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

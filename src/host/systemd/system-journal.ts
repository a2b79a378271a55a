/**
 * Log lines in the journal of systemd, with their values as fields: `journalctl GPUAAS_TASK_ID=…` finds all of a task.
 *
 * Its native socket takes one datagram for an entry, and the unit opens it for us (see inherited-files.ts). Where systemd is too old
 * for that, lines go to stderr with the priority in front, and their values stay in the text. A helper process could have written
 * fields there, too, one a line or one that stays; each would cost more than what it is for.
 */
import { fstatSync, writeSync } from 'node:fs';

/** Takes finished log lines, JSON objects with `level`, `time` and `msg`. */
export interface LineSink {
  write(line: string): void;
}

/** syslog's numbers. */
const priorities: Readonly<Record<string, number>> = { fatal: 2, error: 3, warn: 4, info: 6, debug: 7, trace: 7 };

/** Where log lines of this process belong; undefined where stderr is no stream to the journal. */
export function openSystemJournal(
  identifier: string,
  env: NodeJS.ProcessEnv,
  files: ReadonlyMap<string, number>,
): LineSink | undefined {
  const file = files.get('journal');
  if (file !== undefined) {
    return { write: (line) => writeEntry(file, entryOf(line, identifier), line) };
  }
  return isStreamToJournal(env['JOURNAL_STREAM']) ? { write: writePrefixed } : undefined;
}

/** An entry that is too large for a datagram, or that nobody takes, is a line as any service writes it. */
function writeEntry(file: number, entry: Buffer, line: string): void {
  try {
    writeSync(file, entry);
  } catch {
    writePrefixed(line);
  }
}

function writePrefixed(line: string): void {
  writeSync(2, `<${priorityOf(JSON.parse(line) as Line)}>${line.endsWith('\n') ? line : `${line}\n`}`);
}

type Line = Readonly<Record<string, unknown>>;

const priorityOf = ({ level }: Line) => priorities[String(level)] ?? 6;

/** The entry of a log line in the journal's own format. */
export function entryOf(line: string, identifier: string): Buffer {
  const whole = JSON.parse(line) as Line;
  const { level: _level, time: _time, msg, ...values } = whole;
  const named = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  const words = named.map(([name, value]) => `${name}=${wordOf(value)}`);
  return Buffer.concat([
    fieldOf('MESSAGE', [String(msg ?? ''), ...words].join(' ')),
    fieldOf('PRIORITY', String(priorityOf(whole))),
    fieldOf('SYSLOG_IDENTIFIER', identifier),
    ...named.map(([name, value]) => fieldOf(`GPUAAS_${name.toUpperCase()}`, textOf(value))),
  ]);
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

/** Errors by their message; their stacks are in the field. */
function wordOf(value: unknown): string {
  const isError = typeof value === 'object' && value !== null && 'message' in value;
  const text = textOf(isError ? value.message : value);
  return /^[^\s"=]{1,200}$/.test(text) ? text : JSON.stringify(text);
}

/** With its length: a value may have line breaks. */
function fieldOf(name: string, value: string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}

/** systemd names the stream by device and inode; somebody may have put another file in its place. */
function isStreamToJournal(stream: string | undefined): boolean {
  const { dev, ino } = fstatSync(2);
  return stream === `${dev}:${ino}`;
}

/**
 * The last lines of a log, in a ring of fixed size; fewer where they are long, as a workload may write what it likes. A line has a number that it keeps while others come and go, so that
 * what points at it (a match, the place on the screen) stays right.
 */
import type { StreamedEntry } from '../../../contract/session-messages.ts';
import { cleanLine } from './clean-text.ts';

export interface LogLine {
  readonly time: string;
  /** `gap` for entries that are missing here; its text says so. */
  readonly channel: StreamedEntry['channel'] | 'gap';
  /** As it is shown: one line, harmless. */
  readonly text: string;
  /** As it was written; the same text where that is harmless. */
  readonly raw: string;
  /** Service of a stack that wrote it; undefined where that is said by the log itself. */
  readonly service: string | undefined;
  /** True if the line goes on in the next one of its channel and service. */
  readonly partial: boolean;
}

export const mostLines = 100_000;
/** Of all lines together: a page that holds more is ended by its browser. */
const mostCharacters = 64 * 1024 * 1024;

export class LogBuffer {
  readonly capacity: number;
  readonly #mostCharacters: number;
  readonly #ring: (LogLine | undefined)[] = [];
  #first = 0;
  #end = 0;
  #characters = 0;

  constructor(capacity = mostLines, characters = mostCharacters) {
    this.capacity = capacity;
    this.#mostCharacters = characters;
  }

  /** Number of the oldest line that is there. */
  get first(): number {
    return this.#first;
  }

  /** Number that the next line will have. */
  get end(): number {
    return this.#end;
  }

  get size(): number {
    return this.#end - this.#first;
  }

  append(line: LogLine): void {
    if (this.size === this.capacity) this.#forgetFirst();
    this.#ring[this.#end % this.capacity] = line;
    this.#end += 1;
    this.#characters += charactersOf(line);
    while (this.#characters > this.#mostCharacters && this.size > 1) this.#forgetFirst();
  }

  #forgetFirst(): void {
    const slot = this.#first % this.capacity;
    const line = this.#ring[slot];
    if (line) this.#characters -= charactersOf(line);
    this.#ring[slot] = undefined;
    this.#first += 1;
  }

  /** The line with that number; undefined for one that is not there any more, or not yet. */
  at(number: number): LogLine | undefined {
    return number >= this.first && number < this.#end ? this.#ring[number % this.capacity] : undefined;
  }

  *lines(): Generator<LogLine> {
    for (let number = this.first; number < this.#end; number += 1) yield this.#ring[number % this.capacity] as LogLine;
  }
}

/** The same text is kept once. */
function charactersOf({ text, raw }: LogLine): number {
  return text.length + (raw === text ? 0 : raw.length);
}

/** Bytes that are no text are shown with a replacement character for each. */
export function lineOf({ time, channel, text, encoding, partial, service }: StreamedEntry): LogLine {
  const raw = encoding === 'utf8' ? text : bytesAsText(text);
  return { time, channel, raw, text: channel === 'task' ? taskText(raw) : cleanLine(raw), service, partial };
}

export function gapLine(dropped: number | null, time: string): LogLine {
  const many = dropped === null ? 'Some lines are' : dropped === 1 ? '1 line is' : `${dropped} lines are`;
  const text = `${many} missing here: they were gone before anybody read them.`;
  return { time, channel: 'gap', text, raw: text, service: undefined, partial: false };
}

/** As a file: lines that came in pieces are whole again. */
export function logText(lines: Iterable<LogLine>): string {
  const open = new Map<string, string>();
  const whole: string[] = [];
  for (const { channel, service = '', raw, partial } of lines) {
    const key = `${channel} ${service}`;
    const text = (open.get(key) ?? '') + (channel === 'gap' ? `[${raw}]` : raw);
    open.delete(key);
    if (partial) open.set(key, text);
    else whole.push(service === '' ? text : `${service} | ${text}`);
  }
  return [...whole, ...open.values()].map((line) => `${line}\n`).join('');
}

function bytesAsText(base64: string): string {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new TextDecoder().decode(bytes);
}

/** A line of a task log is JSON: its words first, then its values. */
function taskText(raw: string): string {
  const values = objectOf(raw);
  if (!values) return cleanLine(raw);
  const { msg, text, level: _level, time: _time, task_id: _task, pid: _pid, hostname: _host, ...rest } = values;
  const words = [msg, text].filter((each) => typeof each === 'string' && each !== '');
  const facts = Object.entries(rest).map(([name, value]) => `${name}=${oneWord(value)}`);
  return cleanLine([words.join(': '), ...facts].join('  '));
}

function oneWord(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function objectOf(raw: string): Record<string, unknown> | undefined {
  if (!raw.startsWith('{')) return undefined;
  try {
    return JSON.parse(raw) as Record<string, unknown>;
  } catch {
    // A line that was cut, or that only looks like it.
    return undefined;
  }
}

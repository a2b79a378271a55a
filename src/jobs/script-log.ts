/**
 * What the commands of a script say. An engine keeps what the first process of a container writes and nothing of the commands that
 * are run beside it, so the log of such a step is the agent's own: on disk, read while the step is at work as the log of a
 * container would be, over restarts of the agent, and kept as a log of the job at its end.
 *
 *   <folder>/<container>/<number>.log   a line of JSON for each entry; the files with the highest numbers are there
 *
 * It is bounded as an engine bounds logs: where the newest file is full the next one is begun, and the oldest goes.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobPlan } from '../contract/job-plan.ts';
import { containerName } from '../contract/names.ts';
import { formatNanos } from '../kit/nano-time.ts';
import { unlessAborted } from '../kit/unless-aborted.ts';
import { LogReader } from '../runtime/docker/log-cursor.ts';
import type { LogChannel, LogEntry, LogOptions } from '../runtime/engine.ts';

/** Of one entry; what is longer comes in several. */
const entryChars = 4096;
const readBytes = 64 * 1024;
/** A line of the file is never longer. */
const lineBytes = 8 * entryChars;
const pieces = new RegExp(`[^\\n]{0,${entryChars}}\\n|[^\\n]{1,${entryChars}}`, 'gu');

/** Time in nanoseconds since 1970, channel, text, and 1 where its line goes on. */
type Line = readonly [nanos: string, channel: 'o' | 'e', text: string, partial: 0 | 1];

export class ScriptLogs {
  readonly #folder: string;
  readonly #open = new Map<string, ScriptLog>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The log of a step of a job, with what an earlier life of the agent has written there. */
  open(job: string, step: string, limits: JobPlan['log_limits']): ScriptLog {
    const container = containerName(job, step);
    const known = this.#open.get(container) ?? new ScriptLog(join(this.#folder, container));
    known.begin(limits);
    this.#open.set(container, known);
    return known;
  }

  /** What is read in place of what a container says; undefined for one whose program is its own. */
  inPlaceOf(container: string): ScriptLog | undefined {
    const known = this.#open.get(container);
    if (known || !existsSync(join(this.#folder, container))) return known;
    const found = new ScriptLog(join(this.#folder, container));
    this.#open.set(container, found);
    return found;
  }

  /** Of a job whose containers are gone. Those who read it come to its end. */
  forget(job: string): void {
    const names = existsSync(this.#folder) ? readdirSync(this.#folder) : [];
    for (const name of names.filter((each) => each.startsWith(containerName(job, '')))) {
      this.#open.get(name)?.end();
      this.#open.delete(name);
      rmSync(join(this.#folder, name), { recursive: true, force: true });
    }
  }
}

export class ScriptLog {
  readonly #folder: string;
  #limits: JobPlan['log_limits'] = { max_size_mib: 1, max_files: 1 };
  /** Numbers of the files that are there, in order. */
  #files: number[];
  #descriptor: number | undefined;
  #bytes = 0;
  #last = 0n;
  /** Channels whose last line has no end yet. */
  readonly #unfinished = new Set<LogChannel>();
  #isOver = true;
  #more: PromiseWithResolvers<void> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
    this.#files = filesIn(folder);
  }

  /** From now on it is written. What a killed agent had half written is taken off its end. */
  begin(limits: JobPlan['log_limits']): void {
    this.#limits = limits;
    this.#isOver = false;
    if (this.#descriptor !== undefined) return;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#use(this.#files.at(-1) ?? 1);
  }

  /** Throws where the disk takes no more of it. */
  push(channel: LogChannel, text: string): void {
    if (this.#descriptor === undefined || text === '') return;
    const now = BigInt(Date.now()) * 1_000_000n;
    let lines = '';
    for (const [piece] of text.matchAll(pieces)) {
      const partial = !piece.endsWith('\n');
      // No two are of one moment, so that an entry has its place, whatever was dropped before it.
      this.#last = now > this.#last ? now : this.#last + 1n;
      const line: Line = [
        String(this.#last),
        channel === 'stdout' ? 'o' : 'e',
        partial ? piece : piece.slice(0, -1),
        partial ? 1 : 0,
      ];
      lines += `${JSON.stringify(line)}\n`;
    }
    if (text.endsWith('\n')) this.#unfinished.delete(channel);
    else this.#unfinished.add(channel);
    const bytes = Buffer.from(lines);
    const isFull = this.#bytes > 0 && this.#bytes + bytes.length > this.#limits.max_size_mib * 2 ** 20;
    this.#write(isFull ? this.#rotate() : this.#descriptor, bytes);
    this.#wake();
  }

  /** All of it, or nothing. */
  #write(descriptor: number, bytes: Buffer): void {
    try {
      if (writeSync(descriptor, bytes) < bytes.length) throw new Error('No more of it could be written.');
      this.#bytes += bytes.length;
    } catch (error) {
      ftruncateSync(descriptor, this.#bytes);
      throw error;
    }
  }

  /** What comes next begins a line of its own. */
  endLines(): void {
    for (const channel of [...this.#unfinished]) this.push(channel, '\n');
  }

  /** Who follows it has all of it, and then its end. */
  end(): void {
    this.#isOver = true;
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    this.#wake();
  }

  /** As an engine gives the log of a container; one who follows and is slower than the commands is told of a gap. */
  async *read({ cursor, tail, follow, signal }: LogOptions): AsyncGenerator<LogEntry, void, undefined> {
    const places = new LogReader(cursor);
    let skipped = cursor === undefined && tail !== undefined ? (await this.#count(signal)) - tail : 0;
    let isBehind = false;
    for await (const found of this.#lines(follow, signal)) {
      if (found === 'gap') {
        isBehind = true;
        continue;
      }
      const [nanos, letter, text, partial] = found;
      const entry = { time: formatNanos(BigInt(nanos)), channel: letter === 'o' ? 'stdout' : 'stderr' } as const;
      const behind = places.advance(entry.channel, entry.time);
      isBehind = places.takeGap() || isBehind;
      skipped -= 1;
      if (behind === undefined || skipped >= 0) continue;
      yield {
        ...entry,
        data: Buffer.from(text),
        partial: partial === 1,
        cursor: behind,
        ...(isBehind && { afterGap: true }),
      };
      isBehind = false;
    }
  }

  async #count(signal: AbortSignal): Promise<number> {
    let count = 0;
    for await (const found of this.#lines(false, signal)) count += found === 'gap' ? 0 : 1;
    return count;
  }

  async *#lines(follow: boolean, signal: AbortSignal): AsyncGenerator<Line | 'gap', void, undefined> {
    for (let number = this.#files[0]; number !== undefined; ) {
      const file = await open(this.#pathOf(number)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
      if (file) {
        try {
          yield* this.#linesOf(file, number, follow, signal);
        } finally {
          await file.close();
        }
      }
      const here = number;
      number = this.#files.find((other) => other > here);
      if (number !== undefined && number > here + 1) yield 'gap';
    }
  }

  /** To its end, and of the newest one to what comes. */
  async *#linesOf(
    file: FileHandle,
    number: number,
    follow: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Line, void, undefined> {
    let rest = Buffer.alloc(0);
    for (let at = 0; ; ) {
      signal.throwIfAborted();
      const more = this.#more ?? Promise.withResolvers<void>();
      this.#more = more;
      const isLast = () => this.#files.at(-1) === number;
      const mayGrow = isLast() && !this.#isOver;
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(readBytes), 0, readBytes, at);
      at += bytesRead;
      rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        const line = rest.subarray(0, end).toString();
        rest = rest.subarray(end + 1);
        yield JSON.parse(line) as Line;
      }
      if (bytesRead > 0) continue;
      if (!mayGrow) return;
      if (!follow) return;
      await unlessAborted(more.promise, signal);
    }
  }

  #use(number: number): number {
    const descriptor = openSync(this.#pathOf(number), 'a+', 0o600);
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = descriptor;
    if (this.#files.at(-1) !== number) this.#files = [...this.#files, number];
    const { size } = fstatSync(descriptor);
    const tail = Buffer.alloc(Math.min(size, 2 * lineBytes));
    readSync(descriptor, tail, 0, tail.length, size - tail.length);
    this.#bytes = size - (tail.length - (tail.lastIndexOf(10) + 1));
    ftruncateSync(descriptor, this.#bytes);
    const [last] = tail
      .subarray(0, tail.lastIndexOf(10) + 1)
      .toString()
      .trimEnd()
      .split('\n')
      .slice(-1);
    const [nanos] = last ? (JSON.parse(last) as Line) : [];
    const known = BigInt(nanos ?? '0');
    if (known > this.#last) this.#last = known;
    return descriptor;
  }

  #rotate(): number {
    const descriptor = this.#use((this.#files.at(-1) ?? 0) + 1);
    const gone = this.#files.slice(0, Math.max(0, this.#files.length - this.#limits.max_files));
    this.#files = this.#files.slice(gone.length);
    for (const number of gone) rmSync(this.#pathOf(number), { force: true });
    return descriptor;
  }

  #pathOf(number: number): string {
    return join(this.#folder, `${number}.log`);
  }

  #wake(): void {
    this.#more?.resolve();
    this.#more = undefined;
  }
}

function filesIn(folder: string): number[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap((name) => /^(\d{1,9})\.log$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((one, other) => one - other);
}

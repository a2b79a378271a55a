/**
 * What a build has said, for the author of its job: read while it is at work, as the log of a container would be, and kept as a log
 * of the job at its end. The end of it where it is long.
 */
import type { JobPlan } from '../contract/job-plan.ts';
import { containerName } from '../contract/names.ts';
import { formatNanos } from '../kit/nano-time.ts';
import { unlessAborted } from '../kit/unless-aborted.ts';
import { LogReader } from '../runtime/docker/log-cursor.ts';
import type { LogEntry, LogOptions } from '../runtime/engine.ts';
import { failureOf, type RunningJob } from './running-job.ts';

/** Of memory, and about as many where they are kept. */
const mostBytes = 4 * 2 ** 20;
const textBytes = 256;
/** That each line has beside what it says, where it is kept. */
const lineBytes = 64;
/** A line of any length, in pieces. */
const pieces = /[^\n]{0,4096}\n|[^\n]{1,4096}/gu;

/** Of an image that is built, among the logs of its job; no part of a plan has it for its id (check-plan.ts). */
export function buildLogName({ images }: Pick<JobPlan, 'images'>, id: string): string {
  const place = images.filter(({ source }) => source.kind === 'build').findIndex((image) => image.id === id);
  return place > 0 ? `build-${place + 1}` : 'build';
}

/** How long the rest of one that is over is there for whoever had begun to read it and is slow: what is kept of a job leaves it out. */
const restMs = 60_000;

/** Logs of the builds that jobs of this process wait for. */
export class BuildLogs {
  /** By what a container of that name would be called. */
  readonly #open = new Map<string, BuildLog>();

  /** One that can be read from now on, until it is disposed of, and a minute more by those who had begun by then. */
  open(job: string, name: string): BuildLog {
    const container = containerName(job, name);
    const forget = () => {
      if (this.#open.get(container) === log) this.#open.delete(container);
    };
    const log = new BuildLog(job, name, ({ isFollowed }) => {
      if (isFollowed) setTimeout(forget, restMs).unref();
      else forget();
    });
    this.#open.set(container, log);
    return log;
  }

  inPlaceOf(container: string): BuildLog | undefined {
    return this.#open.get(container);
  }

  namesOf(job: string): string[] {
    return [...this.#open.values()].filter((log) => log.job === job).map(({ name }) => name);
  }
}

interface Said {
  /** No two are of one moment, so that an entry has its place, whatever was dropped before it. */
  readonly nanos: bigint;
  readonly text: string;
}

export class BuildLog {
  readonly job: string;
  readonly name: string;
  readonly #onEnd: (log: BuildLog) => void;
  /** Somebody has begun to follow it. */
  isFollowed = false;
  #said: Said[] = [];
  /** Of those, from the first on, that are kept no more. */
  #dropped = 0;
  /** Of all that was ever said, what is not in there any more. */
  #gone = 0;
  #bytes = 0;
  #last = 0n;
  #isOver = false;
  /** Of those who wait for more. */
  #more: PromiseWithResolvers<void> | undefined;

  constructor(job: string, name: string, onEnd: (log: BuildLog) => void) {
    this.job = job;
    this.name = name;
    this.#onEnd = onEnd;
  }

  /** Cheap, however short the lines are: commands write as fast as they can. */
  push(text: string): void {
    const now = BigInt(Date.now()) * 1_000_000n;
    this.#last = now > this.#last ? now : this.#last + 1n;
    this.#said.push({ nanos: this.#last, text });
    this.#bytes += sizeOf(text);
    for (; this.#bytes > mostBytes; this.#dropped += 1) this.#bytes -= sizeOf(this.#said[this.#dropped]?.text ?? '');
    if (this.#dropped > this.#said.length / 2) {
      this.#said = this.#said.slice(this.#dropped);
      this.#gone += this.#dropped;
      this.#dropped = 0;
    }
    this.#wake();
  }

  /** As an engine gives the log of a container; one who follows and is slower than the build is told of a gap. */
  async *read({ cursor, tail, follow, signal }: LogOptions): AsyncGenerator<LogEntry, void, undefined> {
    this.isFollowed ||= follow;
    const places = new LogReader(cursor);
    let skipped = cursor === undefined && tail !== undefined ? this.#count() - tail : 0;
    let at = this.#gone + this.#dropped;
    let isBehind = false;
    for (;;) {
      signal.throwIfAborted();
      const oldest = this.#gone + this.#dropped;
      isBehind ||= at < oldest;
      at = Math.max(at, oldest);
      const said = this.#said[at - this.#gone];
      if (said) {
        at += 1;
        for (const entry of entriesOf(said)) {
          const behind = places.advance(entry.channel, entry.time);
          isBehind = places.takeGap() || isBehind;
          skipped -= 1;
          if (behind === undefined || skipped >= 0) continue;
          yield { ...entry, cursor: behind, ...(isBehind && { afterGap: true }) };
          isBehind = false;
        }
      } else if (!follow || this.#isOver) {
        return;
      } else {
        this.#more ??= Promise.withResolvers();
        await unlessAborted(this.#more.promise, signal);
      }
    }
  }

  /** Nothing where nothing was said. A build is no worse for a log that could not be kept. */
  async keep(running: RunningJob, signal: AbortSignal): Promise<void> {
    if (this.#said.length === 0) return;
    try {
      const all = this.read({ follow: false, signal });
      await running.ground.jobs.outputs?.takeLog(this.job, this.name, all, signal);
    } catch (error) {
      running.ground.log.warn({ err: error }, 'log of a build could not be kept');
      const message = 'The log of the build could not be kept.';
      running.warn({ kind: 'log', name: this.name, code: failureOf(error).code, message });
      running.emit('log.lost', message, { step: this.name });
    }
  }

  /** Who follows it has all of it, and then its end. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#onEnd(this);
    this.#wake();
  }

  #wake(): void {
    this.#more?.resolve();
    this.#more = undefined;
  }

  #count(): number {
    let count = 0;
    for (const { text } of this.#said.slice(this.#dropped)) count += text.match(pieces)?.length ?? 0;
    return count;
  }
}

function* entriesOf({ nanos, text }: Said): Generator<Omit<LogEntry, 'cursor'>> {
  const time = formatNanos(nanos);
  for (const [piece] of text.matchAll(pieces)) {
    const partial = !piece.endsWith('\n');
    yield { time, channel: 'stdout', data: Buffer.from(partial ? piece : piece.slice(0, -1)), partial };
  }
}

function sizeOf(text: string): number {
  let lines = 0;
  for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', end + 1)) lines += 1;
  return Buffer.byteLength(text) + textBytes + lines * lineBytes;
}

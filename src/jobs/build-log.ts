/** What a build has said, for the author of its job: kept as a log of the job, the end of it where it is long. */
import type { JobPlan } from '../contract/job-plan.ts';
import type { LogEntry } from '../runtime/engine.ts';
import type { RunningJob } from './running-job.ts';

/** Of memory, and about as many where they are kept. */
const mostBytes = 4 * 2 ** 20;
const textBytes = 256;
/** That each line has beside what it says, where it is kept. */
const lineBytes = 64;
/** A line of any length, in pieces. */
const pieces = /[^\n]{0,4096}\n|[^\n]{1,4096}/g;

/** Of an image that is built, among the logs of its job; no part of a plan has it for its id (check-plan.ts). */
export function buildLogName({ images }: Pick<JobPlan, 'images'>, id: string): string {
  const place = images.filter(({ source }) => source.kind === 'build').findIndex((image) => image.id === id);
  return place > 0 ? `build-${place + 1}` : 'build';
}

export class BuildLog {
  readonly #name: string;
  #said: { readonly time: string; readonly text: string }[] = [];
  /** Of those, from the first on, that are kept no more. */
  #dropped = 0;
  #bytes = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** Cheap, however short the lines are: commands write as fast as they can. */
  push(text: string): void {
    this.#said.push({ time: new Date().toISOString(), text });
    this.#bytes += sizeOf(text);
    for (; this.#bytes > mostBytes; this.#dropped += 1) this.#bytes -= sizeOf(this.#said[this.#dropped]?.text ?? '');
    if (this.#dropped <= this.#said.length / 2) return;
    this.#said = this.#said.slice(this.#dropped);
    this.#dropped = 0;
  }

  /** Nothing where nothing was said. A build is no worse for a log that could not be kept. */
  async keep(job: RunningJob, signal: AbortSignal): Promise<void> {
    if (this.#said.length === 0) return;
    try {
      await job.ground.jobs.outputs?.takeLog(job.id, this.#name, this.#all(), signal);
    } catch (error) {
      job.ground.log.warn({ err: error }, 'log of a build could not be kept');
      job.emit('log.lost', 'The log of the build could not be kept.', { step: this.#name });
    }
  }

  async *#all(): AsyncGenerator<LogEntry> {
    for (const { time, text } of this.#said.slice(this.#dropped)) {
      for (const [piece] of text.matchAll(pieces)) {
        yield { cursor: '', time, channel: 'stdout', data: Buffer.from(piece), partial: !piece.endsWith('\n') };
      }
    }
  }
}

function sizeOf(text: string): number {
  let lines = 0;
  for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', end + 1)) lines += 1;
  return Buffer.byteLength(text) + textBytes + lines * lineBytes;
}

/** What a build has said, for the author of its job: kept as a log of the job, the end of it where it is long. */
import type { LogEntry } from '../runtime/engine.ts';
import type { RunningJob } from './running-job.ts';

/** Its name among the logs of the job. */
const logName = 'build';
/** Of memory. */
const mostBytes = 4 * 2 ** 20;
const entryBytes = 256;
/** A line of any length, in pieces. */
const pieces = /[^\n]{0,4096}\n|[^\n]{1,4096}/g;

export class BuildLog {
  readonly #entries: LogEntry[] = [];
  #bytes = 0;

  push(text: string): void {
    const time = new Date().toISOString();
    for (const [piece] of text.matchAll(pieces)) {
      const data = Buffer.from(piece);
      this.#entries.push({ cursor: '', time, channel: 'stdout', data, partial: !piece.endsWith('\n') });
      this.#bytes += data.length + entryBytes;
    }
    while (this.#bytes > mostBytes) this.#bytes -= (this.#entries.shift()?.data.length ?? 0) + entryBytes;
  }

  /** Nothing where nothing was said. A build is no worse for a log that could not be kept. */
  async keep(job: RunningJob, signal: AbortSignal): Promise<void> {
    if (this.#entries.length === 0) return;
    try {
      await job.ground.jobs.outputs?.takeLog(job.id, logName, this.#all(), signal);
    } catch (error) {
      job.ground.log.warn({ err: error }, 'log of a build could not be kept');
      job.emit('log.lost', 'The log of the build could not be kept.', { step: logName });
    }
  }

  async *#all(): AsyncGenerator<LogEntry> {
    yield* this.#entries;
  }
}

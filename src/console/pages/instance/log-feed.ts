/**
 * Fills the buffer of one log from its stream, over lost connections and restarts, and tells who shows it at most once a
 * frame. What comes while it is paused waits, and is shown behind the rest when it goes on.
 *
 *   connecting ─▶ live ⇄ lost          live ─▶ ended, refused
 */
import type { Failure } from '../../../contract/failures.ts';
import type { StreamedEntry } from '../../../contract/session-messages.ts';
import type { ApiError } from '../../lib/api.ts';
import { openStream } from '../../lib/stream.ts';
import { gapLine, LogBuffer, type LogLine, lineOf } from './log-buffer.ts';

export type FeedState = 'connecting' | 'live' | 'lost' | 'ended' | 'refused';

export class LogFeed {
  readonly buffer = new LogBuffer();
  state: FeedState = 'connecting';
  /** Why there is no more; null at the end of the log. */
  failure: Pick<Failure | ApiError, 'code' | 'message' | 'hint'> | null = null;
  /** Why there is nothing of it, where that is no failure. */
  notice: string | undefined;
  /** Since it was paused: the last of them, as of the log itself. */
  #waiting = new LogBuffer();
  #isPaused = false;
  #lastId = '';
  #lastTime = '';
  #isTelling = false;
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Lines that came since it was paused. */
  get held(): number {
    return this.#waiting.end;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Begins, or goes on behind the last entry that it has. */
  open(path: string, signal: AbortSignal): void {
    this.failure = null;
    openStream(
      path,
      {
        message: (event, id, data) => this.#take(event, id, data),
        state: (state) => {
          // The end of the log is not the loss of its connection, and a first try is no news.
          if (this.state === 'ended' && state !== 'open') return;
          this.#become(state === 'open' ? 'live' : state === 'lost' || this.state === 'lost' ? 'lost' : 'connecting');
        },
        refused: (error) => {
          this.failure = error;
          this.#become('refused');
        },
      },
      { signal, lastEventId: this.#lastId },
    );
  }

  pause(): void {
    this.#isPaused = true;
    this.#tell();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#waiting.first > 0) this.buffer.append(gapLine(this.#waiting.first, this.#lastTime));
    for (const line of this.#waiting.lines()) this.buffer.append(line);
    this.#waiting = new LogBuffer();
    this.#tell();
  }

  #take(event: string, id: string, data: unknown): void {
    this.#lastId = id;
    if (event === 'entries') for (const entry of data as StreamedEntry[]) this.#add(lineOf(entry));
    else if (event === 'gap') this.#add(gapLine((data as { dropped: number | null }).dropped, this.#lastTime));
    else if (event === 'end') {
      const { failure, notice } = data as { failure: Failure | null; notice?: string };
      this.failure = failure;
      this.notice = notice;
      this.#become('ended');
    }
    this.#tell();
  }

  #add(line: LogLine): void {
    this.#lastTime = line.time;
    (this.#isPaused ? this.#waiting : this.buffer).append(line);
  }

  #become(state: FeedState): void {
    if (this.state === state) return;
    this.state = state;
    this.#tell();
  }

  /** A page that nobody sees has no frames, and is told when it is seen again. */
  #tell(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    requestAnimationFrame(() => {
      this.#isTelling = false;
      this.#changed();
    });
  }
}

interface LogEnding {
  readonly failure: Failure | null;
  readonly notice?: string;
}

/** Why there is no more of it, or nothing at all. */
function reasonOf({ failure, notice }: LogEnding): string | undefined {
  return failure?.message ?? notice;
}

/** Reads a log from its beginning to its present end; `tell` says how many lines there are so far. */
export function wholeLog(path: string, signal: AbortSignal, tell: (lines: number) => void): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  return new Promise((done, failed) => {
    signal.addEventListener('abort', () => failed(signal.reason));
    openStream(
      path,
      {
        message: (event, _id, data) => {
          if (event === 'entries') for (const entry of data as StreamedEntry[]) lines.push(lineOf(entry));
          if (event === 'gap') {
            lines.push(gapLine((data as { dropped: number | null }).dropped, lines.at(-1)?.time ?? ''));
          }
          if (event === 'end') {
            const reason = reasonOf(data as LogEnding);
            if (reason !== undefined && lines.length === 0) failed(new Error(reason));
            else done(lines);
          }
          tell(lines.length);
        },
        state: () => undefined,
        refused: failed,
      },
      { signal },
    );
  });
}

/**
 * Takes in the records of one session: those that arrived while the last ones were written are kept in one transaction
 * and acknowledged by one message, and so are those that arrived with the first. Where the disk is slower than the node, the node has to wait.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RecordMessage } from '../../contract/session-messages.ts';

const maxBatch = 128;
/** Records that may wait in memory before the socket is not read any more. A frame is at most 1 MiB. */
const maxWaiting = 64;

export interface RecordInletOptions {
  /** Keeps a batch of one journal. Where it fails, nothing of the batch is kept and the session has to end. */
  keep(batch: readonly [RecordMessage, ...RecordMessage[]]): Promise<void>;
  pause(): void;
  resume(): void;
  onFailure(error: unknown): void;
}

export class RecordInlet {
  readonly #options: RecordInletOptions;
  readonly #waiting: RecordMessage[] = [];
  #working = false;
  #paused = false;
  #closed = false;

  constructor(options: RecordInletOptions) {
    this.#options = options;
  }

  add(record: RecordMessage): void {
    if (this.#closed) return;
    this.#waiting.push(record);
    if (!this.#paused && this.#waiting.length >= maxWaiting) {
      this.#paused = true;
      this.#options.pause();
    }
    if (!this.#working) void this.#work();
  }

  /** Forgets what waits: it was not acknowledged, so it comes again. */
  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
  }

  async #work(): Promise<void> {
    this.#working = true;
    try {
      await nextTurn();
      for (let batch = this.#next(); batch && !this.#closed; batch = this.#next()) {
        await this.#options.keep(batch);
        if (this.#paused && this.#waiting.length < maxWaiting / 2) {
          this.#paused = false;
          this.#options.resume();
        }
      }
    } catch (error) {
      this.close();
      this.#options.onFailure(error);
    } finally {
      this.#working = false;
    }
  }

  #next(): [RecordMessage, ...RecordMessage[]] | undefined {
    const first = this.#waiting[0];
    if (!first) return undefined;
    const other = this.#waiting.findIndex(({ journal_id }) => journal_id !== first.journal_id);
    const [head = first, ...rest] = this.#waiting.splice(0, Math.min(other < 0 ? maxBatch : other, maxBatch));
    return [head, ...rest];
  }
}

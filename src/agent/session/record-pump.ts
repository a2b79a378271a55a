/**
 * Sends what waits in the journal, in order, with a bounded part of it on its way, and tells the journal what arrived.
 *
 * A connection that is lost loses nothing: the next one begins behind the last record that was acknowledged.
 */
import type { RecordMessage } from '../../contract/session-messages.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Journal } from '../journal/journal.ts';

export interface RecordPumpOptions {
  readonly journal: Pick<Journal, 'id' | 'waiting' | 'acknowledge' | 'onAppend'>;
  readonly clock: Clock;
  /** Hands a record to the connection. Returns its size in bytes. */
  send(record: RecordMessage): number;
  /** What is sent within this leaves at once. */
  together(work: () => void): void;
  /** The journal cannot be read or written. */
  onFailure(error: unknown): void;
}

/** Most that is on its way without an acknowledgement; one record may always be. */
const window = { records: 256, bytes: 1024 * 1024 } as const;
const batch = 64;
/** Progress and metrics wait for what follows them at once: each message costs both sides more than what is in it. */
const lingerMs = 15;
/** Acknowledgements are written down together: each write waits for the disk, and a lost one only repeats records. */
const acknowledgeAfterMs = 50;

export class RecordPump {
  readonly #options: RecordPumpOptions;
  readonly #stopped = new AbortController();
  readonly #onItsWay: { readonly seq: number; readonly bytes: number }[] = [];
  #bytes = 0;
  #sent = 0;
  #acked = 0;
  #scheduled = false;
  #lingering: Promise<void> | undefined;
  #writing: Promise<void> | undefined;
  #unlisten: (() => void) | undefined;

  constructor(options: RecordPumpOptions) {
    this.#options = options;
  }

  start(): void {
    this.#unlisten = this.#options.journal.onAppend(({ canWait }) => {
      if (canWait) {
        this.#lingering ??= this.#scheduleLater();
      } else {
        this.#schedule();
      }
    });
    this.#schedule();
  }

  /** False for what was never sent: the control plane cannot have it. */
  acknowledge(journalId: string, seq: number): boolean {
    if (journalId !== this.#options.journal.id || seq > this.#sent) {
      return false;
    }
    for (let first = this.#onItsWay[0]; first && first.seq <= seq; first = this.#onItsWay[0]) {
      this.#bytes -= first.bytes;
      this.#onItsWay.shift();
    }
    this.#acked = Math.max(this.#acked, seq);
    this.#writing ??= this.#writeSoon();
    this.#schedule();
    return true;
  }

  /** What was acknowledged is written down; where it cannot be, it is only sent again later. */
  stop(): void {
    this.#unlisten?.();
    this.#stopped.abort();
    try {
      this.#write();
    } catch (error) {
      this.#options.onFailure(error);
    }
  }

  /** Many records of one moment are read from the journal together, and never within a call that wrote one. */
  #schedule(): void {
    if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(() => {
        this.#scheduled = false;
        try {
          this.#options.together(() => this.#pump());
        } catch (error) {
          this.#options.onFailure(error);
        }
      });
    }
  }

  async #scheduleLater(): Promise<void> {
    // Where it was stopped, nothing is sent any more.
    await this.#options.clock.pause(lingerMs, this.#stopped.signal).catch(() => undefined);
    this.#lingering = undefined;
    this.#schedule();
  }

  #pump(): void {
    const { journal, send } = this.#options;
    while (!this.#stopped.signal.aborted && this.#hasRoom()) {
      const waiting = journal.waiting(this.#sent, batch);
      if (waiting.length === 0) {
        return;
      }
      for (const { seq, kind, at, body } of waiting) {
        if (!this.#hasRoom()) {
          return;
        }
        const bytes = send({ type: 'record', journal_id: journal.id, seq, kind, at, body });
        this.#onItsWay.push({ seq, bytes });
        this.#bytes += bytes;
        this.#sent = seq;
      }
    }
  }

  #hasRoom(): boolean {
    return this.#onItsWay.length === 0 || (this.#onItsWay.length < window.records && this.#bytes < window.bytes);
  }

  async #writeSoon(): Promise<void> {
    try {
      await this.#options.clock.pause(acknowledgeAfterMs, this.#stopped.signal);
      this.#write();
    } catch (error) {
      // Where it was stopped, `stop` has written it.
      if (!this.#stopped.signal.aborted) {
        this.#options.onFailure(error);
      }
    }
  }

  #write(): void {
    this.#writing = undefined;
    if (this.#acked > 0) {
      this.#options.journal.acknowledge(this.#acked);
      this.#acked = 0;
    }
  }
}

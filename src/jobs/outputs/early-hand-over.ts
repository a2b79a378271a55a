/** One output that is sent while it is taken, and what becomes of that. */
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { Slots } from '../../kit/slots.ts';
import type { GrowingFile } from './growing-file.ts';
import { type EarlyDestination, newUpload, type SentEarly, sendEarly } from './send-early.ts';

/** Below that it is sent in no time, once it is there. */
const leastBytes = 16 * 2 ** 20;

interface Parts {
  readonly destination: EarlyDestination;
  readonly slots: Slots;
  readonly clock: Clock;
  readonly log: Log;
  readonly closing: AbortSignal;
}

export class EarlyHandOver {
  readonly #parts: Parts;
  readonly #output: { readonly job_id: string; readonly name: string };
  readonly #upload = newUpload();
  readonly #enough = new AbortController();
  readonly #dropped = new AbortController();
  #end: Promise<SentEarly | undefined> = Promise.resolve(undefined);
  #isBegun = false;
  /** Of what was sent, until it is handed over or dropped: who gave it up between both would be behind all others. */
  #hasPlace = false;
  readonly #left = Promise.withResolvers<void>();

  constructor(output: { readonly job_id: string; readonly name: string }, parts: Parts) {
    this.#output = output;
    this.#parts = parts;
  }

  /** Sends what will have so many bytes from now on; nothing where that is not worth it. */
  begin(bytes: number, file: GrowingFile): void {
    if (bytes < leastBytes) return;
    const { destination, slots, clock, closing } = this.#parts;
    const signal = AbortSignal.any([this.#dropped.signal, closing]);
    const enough = this.#enough.signal;
    const output = { ...this.#output, upload: this.#upload, bytes };
    const sent = Promise.withResolvers<SentEarly | undefined>();
    file.isWanted = true;
    this.#end = sent.promise;
    void slots.run(AbortSignal.any([signal, enough]), async () => {
      if (signal.aborted || enough.aborted) return sent.resolve(undefined);
      this.#isBegun = true;
      const options = { destination, file, clock, enough, signal };
      const end = await sendEarly(output, options).catch((err) => {
        if (!signal.aborted) this.#parts.log.error({ err, instance: output.job_id }, 'an output cannot be sent early');
        return undefined;
      });
      this.#hasPlace = end !== undefined && end.bytes > 0;
      sent.resolve(end);
      if (this.#hasPlace) await this.#left.promise;
    });
  }

  /**
   * Carries that out in its place, or in one that it waits for, once the piece on its way is through. `work` is told what the control plane
   * has of it; undefined where that is nothing.
   */
  async handOver<T>(signal: AbortSignal, work: (sent: SentEarly | undefined) => Promise<T>): Promise<T> {
    this.#enough.abort();
    const giveUp = () => this.#dropped.abort();
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      const sent = await this.#end;
      return this.#hasPlace ? await work(sent) : await this.#parts.slots.run(signal, () => work(sent));
    } finally {
      signal.removeEventListener('abort', giveUp);
      this.#left.resolve();
    }
  }

  /** Has the control plane drop what it has of it and nobody has offered. Where it does not hear of that, it does so by itself. */
  async drop(): Promise<void> {
    this.#dropped.abort();
    this.#left.resolve();
    await this.#end;
    if (!this.#isBegun) return;
    await this.#parts.destination.drop(this.#upload, this.#parts.closing).catch(() => undefined);
  }
}

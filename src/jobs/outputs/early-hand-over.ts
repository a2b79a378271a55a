/** One output that is sent while it is taken, and what becomes of that. */
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { Slots } from '../../kit/slots.ts';
import type { GrowingFile } from './growing-file.ts';
import { type EarlyDestination, handOverEarly, newUpload, type SentEarly } from './hand-over-early.ts';

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
    this.#isBegun = true;
    this.#end = slots
      .run(AbortSignal.any([signal, enough]), () => handOverEarly(output, { destination, file, clock, enough, signal }))
      .catch((err) => {
        if (!signal.aborted) this.#parts.log.error({ err, instance: output.job_id }, 'an output cannot be sent early');
        return undefined;
      });
  }

  /** What the control plane has of it, once the piece on its way is through; undefined where that is nothing. */
  async sent(): Promise<SentEarly | undefined> {
    this.#enough.abort();
    return await this.#end;
  }

  /** Has the control plane drop what it has of it and nobody has offered. Where it does not hear of that, it does so by itself. */
  async drop(): Promise<void> {
    if (!this.#isBegun) return;
    this.#dropped.abort();
    await this.#end;
    await this.#parts.destination.drop(this.#upload, this.#parts.closing).catch(() => undefined);
  }
}

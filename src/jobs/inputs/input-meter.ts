/** Counts what came of an input, and tells it a few times a second at most. */
import type { Clock } from '../../kit/clock.ts';
import type { InputProgress } from './job-inputs.ts';
import type { RemoteFile } from './remote-file.ts';

const everyMs = 500;

export class InputMeter {
  readonly #clock: Clock;
  readonly #tell: (progress: InputProgress) => void;
  readonly #total: number | undefined;
  readonly #files: number;
  #bytes = 0;
  #done = 0;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(files: readonly RemoteFile[], clock: Clock, tell: (progress: InputProgress) => void) {
    this.#clock = clock;
    this.#tell = tell;
    this.#files = files.length;
    const sum = files.reduce((total, { size }) => total + (size ?? Number.NaN), 0);
    this.#total = Number.isNaN(sum) ? undefined : sum;
  }

  /** One file. */
  begin(): { add(bytes: number): void; end(bytes: number): void } {
    let counted = 0;
    const add = (bytes: number) => {
      counted += bytes;
      this.#bytes += bytes;
      this.#maybeTell();
    };
    return {
      add,
      // What others had fetched of it before was not seen.
      end: (bytes) => {
        this.#done += 1;
        add(bytes - counted);
      },
    };
  }

  end(): void {
    this.#tellNow();
  }

  #maybeTell(): void {
    if (this.#clock.monotonicMs() - this.#toldMs >= everyMs) this.#tellNow();
  }

  #tellNow(): void {
    this.#toldMs = this.#clock.monotonicMs();
    this.#tell({ bytes: this.#bytes, bytes_total: this.#total, files: this.#done, files_total: this.#files });
  }
}

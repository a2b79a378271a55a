/** Writes down what was refused: one line of JSON each, and no more of them than somebody can read. */
import { TokenBuckets } from '../kit/token-buckets.ts';
import type { EgressScheme } from './guard.ts';

export interface Refused {
  readonly host: string | null;
  readonly port: number | null;
  readonly scheme: EgressScheme | null;
  /** A word for programs: `not_listed`, `private_address`, `wrong_name`, … */
  readonly refused: string;
  /** For a person. */
  readonly reason: string;
}

const mostLines = { perSecond: 10, burst: 100 };
const lines = 'lines';

export class Refusals {
  readonly #write: (line: string) => void;
  readonly #now: () => number;
  readonly #bucket = new TokenBuckets(mostLines);
  #leftOut = 0;

  constructor(write: (line: string) => void, now = () => performance.now()) {
    this.#write = write;
    this.#now = now;
  }

  note({ refused, host, port, scheme, reason }: Refused): void {
    if (this.#bucket.take(lines, this.#now()) > 0) {
      this.#leftOut += 1;
      return;
    }
    const leftOut = this.#leftOut === 0 ? {} : { left_out: this.#leftOut };
    this.#leftOut = 0;
    const said = { refused, host: host?.slice(0, 253) ?? null, port, scheme, reason: reason.slice(0, 512) };
    this.#write(JSON.stringify({ time: new Date().toISOString(), ...said, ...leftOut }));
  }
}

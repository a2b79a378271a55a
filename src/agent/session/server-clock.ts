/**
 * The control plane's time, as it was said last and advanced by the monotonic clock: somebody who sets this host's clock
 * makes no task expire, and none valid again (FAULTS 20).
 */
import type { Clock } from '../../kit/clock.ts';

/** Less is nobody's clock, but the way that its time took to come here. */
const tolerableMs = 5000;

export class ServerClock {
  readonly #clock: Clock;
  #said: { readonly time: number; readonly at: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes an RFC 3339 time; what is none is ignored. */
  set(serverTime: string): void {
    const time = Date.parse(serverTime);
    if (!Number.isNaN(time)) {
      this.#said = { time, at: this.#clock.monotonicMs() };
    }
  }

  /** What the control plane's clock said when this host's said `time` (RFC 3339): the same where both go alike. */
  timeOf(time: string): string {
    const wall = this.#clock.wallMs();
    const ahead = (this.now() ?? wall) - wall;
    return Math.abs(ahead) < tolerableMs ? time : new Date(Date.parse(time) + ahead).toISOString();
  }

  /** Milliseconds since 1970; undefined before the first contact. */
  now(): number | undefined {
    return this.#said && this.#said.time + this.#clock.monotonicMs() - this.#said.at;
  }
}

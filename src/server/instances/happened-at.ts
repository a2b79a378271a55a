import type { Clock } from '../../kit/clock.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';

/**
 * When something happened that a node reports, in milliseconds since 1970: as the node says, since it may tell of it long
 * after, but not in the future, and not before `since`, whatever a clock that was set back says. What is settled by then no
 * node can change by what time it says.
 */
export function happenedAt(said: string, since: string, now: number): number {
  const at = Date.parse(said);
  return Math.max(Date.parse(since), Number.isNaN(at) ? now : Math.min(now, at));
}

/** The times of what nodes report of instances. */
export class ReportTimes {
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.wallMs();
  }

  /** When it happened to the instance what a node says of that time: never before what happened to it last. */
  at({ state_since }: AppInstance, said: string): number {
    return happenedAt(said, state_since, this.now());
  }

  /** The same as text. */
  of(instance: AppInstance, said: string): string {
    return iso(this.at(instance, said));
  }
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

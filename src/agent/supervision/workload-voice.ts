/** How supervision says what it saw of a workload: its row and the event in one write, and a line in the log. */
import { bounds, cutFacts, cutText } from '../../contract/bounds.ts';
import type { Failure } from '../../contract/failures.ts';
import type { WorkloadState } from '../../contract/workload-state.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { Journal, KeptWorkload } from '../journal/journal.ts';

export interface SeenEvent {
  readonly type: string;
  readonly message: string;
  /** The engine's own time; null or left out where only we know. */
  readonly time?: string | null;
  readonly values?: Record<string, unknown>;
}

export interface VoiceMeans {
  readonly journal: Pick<Journal, 'keepWorkload'>;
  readonly clock: Clock;
  readonly log: Log;
}

export class WorkloadVoice {
  readonly #means: VoiceMeans;

  constructor(means: VoiceMeans) {
    this.#means = means;
  }

  /** Keeps the row as being in that state since the event, and queues the event. */
  tell(row: KeptWorkload, state: WorkloadState, event: SeenEvent, failure: Failure | null = null): void {
    const time = event.time ?? new Date(this.#means.clock.wallMs()).toISOString();
    const changed = state !== row.state || typeof event.time === 'string';
    this.#means.log.info({ instance: row.workload_id, from: row.state, to: state, event: event.type }, 'workload seen');
    this.#means.journal.keepWorkload(
      { ...row, state, since: changed ? time : row.since },
      {
        ...{ workload_id: row.workload_id, source: 'supervisor', state: state === row.state ? null : state, failure },
        event: {
          ...{ time, type: event.type, phase: null },
          ...{ message: cutText(event.message, bounds.message), values: cutFacts(event.values ?? {}) },
        },
      },
    );
  }
}

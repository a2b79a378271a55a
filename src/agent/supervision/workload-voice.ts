/** How supervision says what it saw of a workload: its row and the event in one write, and a line in the log. */
import { bounds, cutFacts, cutText } from '../../contract/bounds.ts';
import type { Failure } from '../../contract/failures.ts';
import type { WorkloadState } from '../../contract/workload-state.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { Journal } from '../journal/journal.ts';
import { type Part, withPart } from './parts.ts';
import { shownState } from './sick-cards.ts';

export interface SeenEvent {
  readonly type: string;
  readonly message: string;
  /** The engine's own time; null or left out where only we know. */
  readonly time?: string | null;
  readonly values?: Record<string, unknown>;
}

export interface VoiceMeans {
  readonly journal: Pick<Journal, 'keepWorkload' | 'workload'>;
  readonly clock: Clock;
  readonly log: Log;
}

export class WorkloadVoice {
  readonly #means: VoiceMeans;

  constructor(means: VoiceMeans) {
    this.#means = means;
  }

  /** Keeps the part as being in that state since the event, and queues the event. */
  tell(part: Part, state: WorkloadState, event: SeenEvent, failure: Failure | null = null): void {
    const { journal, clock, log } = this.#means;
    const { workload_id, service } = part;
    const before = journal.workload(workload_id);
    if (!before) {
      return;
    }
    const time = event.time ?? new Date(clock.wallMs()).toISOString();
    const changed = state !== part.state || typeof event.time === 'string';
    const after = withPart(before, { ...part, state, since: changed ? time : part.since });
    const [was, is] = [shownState(before), shownState(after)];
    const of = service === null ? {} : { service };
    log.info({ instance: workload_id, ...of, from: part.state, to: state, event: event.type }, 'workload seen');
    journal.keepWorkload(after, {
      ...{ workload_id, source: 'supervisor', state: is === was ? null : is },
      failure: failure && { ...failure, detail: { ...failure.detail, ...of } },
      event: {
        ...{ time, type: event.type, phase: null },
        ...{ message: cutText(event.message, bounds.message), values: cutFacts({ ...of, ...event.values }) },
      },
    });
  }
}

/** What a task reported so far: goes to its log, to whoever listens, and into its output. */
import { bounds, cutFacts, cutText } from '../contract/bounds.ts';
import type { WorkloadEvent } from '../contract/workload-output.ts';
import { move, type WorkloadState } from '../contract/workload-state.ts';
import { redact, redactText } from '../kit/log.ts';
import type { TaskLog } from './task-log.ts';

/** Most events that a result carries; older ones are dropped first. */
const maxEvents = 200;
/** Each says what the one before said, as it is by now. */
const repeated: ReadonlySet<string> = new Set(['image.progress', 'readiness.waiting', 'update.downloading']);

export class TaskProgress {
  readonly #taskLog: TaskLog;
  readonly #onEvent: ((event: WorkloadEvent) => void) | undefined;
  readonly #events: WorkloadEvent[] = [];
  phase: WorkloadState | null = null;

  constructor(taskLog: TaskLog, onEvent: ((event: WorkloadEvent) => void) | undefined) {
    this.#taskLog = taskLog;
    this.#onEvent = onEvent;
  }

  enter(phase: WorkloadState): void {
    const from = this.phase;
    this.phase = from === null ? phase : move(from, phase);
    this.emit('phase.entered', `The workload is ${phase.replaceAll('_', ' ')}.`, { from, to: phase });
  }

  emit(type: string, message: string, values: Record<string, unknown>): void {
    const time = new Date().toISOString();
    const clean = this.#taskLog.clean({ message: redactText(message), values: redact(values) });
    const event: WorkloadEvent = {
      ...{ time, type, phase: this.phase },
      // Cut last: half a secret would not be found.
      ...{ message: cutText(clean.message, bounds.message), values: cutFacts(clean.values) },
    };
    if (repeated.has(type) && this.#events.at(-1)?.type === type) {
      // A long pull or start must not push everything else out of the result.
      this.#events.pop();
    }
    this.#events.push(event);
    if (this.#events.length > maxEvents) {
      this.#events.shift();
    }
    this.#taskLog.log.info({ event: type, phase: this.phase, text: message, ...values }, 'event');
    this.#onEvent?.(event);
  }

  events(): WorkloadEvent[] {
    return [...this.#events];
  }
}

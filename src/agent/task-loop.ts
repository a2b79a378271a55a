/**
 * Takes tasks from the session to their results: journal first, act second, report until acknowledged.
 *
 *   delivered ─▶ accepted (on disk) ─▶ waits for its workload, and for a slot ─▶ at work ─▶ result (on disk) ─▶ outbox
 *
 * Whatever is accepted gets exactly one result, also over SIGKILL: at the next start a task without one is simply run
 * again, and each handler finds what it left behind. A shutdown cancels nothing: it stops taking, and leaves what is at
 * work to the next start.
 */
import { AgentError, type Failure } from '../contract/failures.ts';
import type { TaskEnvelope, TaskResult } from '../contract/task-envelope.ts';
import { isTaskType, taskSchemas } from '../contract/tasks.ts';
import type { WorkloadEvent } from '../contract/workload-output.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { Paced } from '../kit/paced.ts';
import { Cancellation } from './cancellation.ts';
import type { Candidate, Dispatcher } from './dispatch.ts';
import type { Journal, KeptTask } from './journal/journal.ts';
import type { TaskAnswer } from './session/session.ts';
import type { Occupation, Supervisor } from './supervision/supervisor.ts';
import { changeBy } from './task-effects.ts';

export interface TaskLoopOptions {
  readonly journal: Journal;
  readonly dispatcher: Pick<Dispatcher, 'run'>;
  readonly supervisor: Pick<Supervisor, 'standAside' | 'notePhase'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Tasks that may be at work at once; some more are taken, so that a stop need not wait for a launch elsewhere. */
  readonly parallel: number;
  /** Server time in milliseconds since 1970. */
  readonly serverNow: () => number;
  /** The host's say over a task that is about to begin: throws where it must not. */
  readonly admit: (candidate: Candidate) => void;
  /** Called when a task has ended, after its result is on disk; there may be room for more now. */
  /** Called once nothing that ends from now on has a result: what is still at work goes on in the next process. */
  readonly onReleased?: () => void;
  readonly onEnded: (envelope: TaskEnvelope, result: TaskResult) => void;
}

/** Ended by the next process, where this one ends before. */
const goesOn: ReadonlySet<string> = new Set(['agent.self_update', 'workload.job_launch', 'workload.job_control']);
const lasts = (type: string | undefined) => type === 'workload.job_launch' || type === 'workload.job_control';
const isAboutJob = (type: string) => type.startsWith('workload.job_');

/** Tasks that are taken beyond those that may be at work. */
const waitingRoom = 8;
/** Least time between two reports of how a pull goes. */
const pullReportMs = 1000;

export class TaskLoop {
  readonly #options: TaskLoopOptions;
  readonly #cancels = new Map<string, Cancellation>();
  readonly #atWork = new Map<string, Promise<unknown>>();
  /** Whoever on this host follows a task. */
  readonly #listeners = new Map<string, (event: WorkloadEvent) => void>();
  /** How pulls and builds go, by task. */
  readonly #pulls = new Map<string, Paced<WorkloadEvent>>();
  #closed = false;
  #held: string | undefined;
  /** True once the journal may be closed: what ends after that has no result. */
  #released = false;

  constructor(options: TaskLoopOptions) {
    this.#options = options;
  }

  /** Tasks that are at work or wait. */
  get size(): number {
    return this.#atWork.size;
  }

  /** The same without those that take no place: a job may last for days. */
  get #places(): number {
    const { journal } = this.#options;
    return [...this.#atWork.keys()].filter((id) => !lasts(journal.task(id)?.envelope.type)).length;
  }

  /** How many tasks may be sent now. */
  get credits(): number {
    return this.#closed || this.#held !== undefined
      ? 0
      : Math.max(0, this.#options.parallel + waitingRoom - this.#places);
  }

  /** Runs again what an earlier life of this agent accepted and did not finish, in its order. */
  recover(): number {
    const unfinished = this.#options.journal.unfinished();
    for (const task of unfinished) {
      this.#begin(task, { again: true });
    }
    return unfinished.length;
  }

  /** On disk when it returns, or refused. The same delivery twice is one task. */
  take(envelope: TaskEnvelope): TaskAnswer {
    try {
      this.#accept(envelope);
      return { accepted: true };
    } catch (error) {
      const { task_id, type, workload_id } = envelope;
      this.#options.log.warn({ task_id, task_type: type, instance: workload_id, err: error }, 'task refused');
      return { accepted: false, failure: failureOf(error) };
    }
  }

  /** Takes a task of somebody on this host and sees it to its end. Throws where it is refused. */
  async runHere(
    envelope: TaskEnvelope,
    { onAccepted, onEvent }: { onAccepted: () => void; onEvent: (event: WorkloadEvent) => void },
  ): Promise<TaskResult> {
    const { task_id } = envelope;
    this.#listeners.set(task_id, onEvent);
    try {
      this.#accept(envelope);
      onAccepted();
      await this.#atWork.get(task_id);
    } finally {
      this.#listeners.delete(task_id);
    }
    const result = this.#options.journal.task(task_id)?.result;
    if (!result) {
      throw new AgentError('internal', { reason: 'The journal could not keep the result of the task.' });
    }
    return result;
  }

  /** What the task made is taken away again. One that is unknown or has ended is left alone: false. */
  cancel(taskId: string): boolean {
    const task = this.#options.journal.cancel(taskId);
    if (task) {
      this.#options.log.info({ task_id: taskId, instance: task.envelope.workload_id }, 'task is cancelled');
      this.#cancels.get(taskId)?.ask();
    }
    return task !== undefined;
  }

  /** Takes nothing more until the returned function is called; what is at work goes on. */
  hold(reason: string): () => void {
    this.#held = reason;
    return () => {
      this.#held = undefined;
    };
  }

  /** Resolves when nothing is at work but what goes on in the next process, or after `withinMs`. */
  async othersEnd(withinMs: number): Promise<void> {
    const over = new AbortController();
    const { journal } = this.#options;
    const others = [...this.#atWork].filter(([id]) => !goesOn.has(journal.task(id)?.envelope.type ?? ''));
    const ended = Promise.all(others.map(([, work]) => work)).then(() => over.abort());
    await Promise.race([ended, this.#options.clock.pause(withinMs, over.signal).catch(() => undefined)]);
    over.abort();
  }

  /**
   * Takes nothing any more and waits up to `graceMs` for what is at work; cancels nothing. An update is not waited for: it is what
   * waits for this.
   */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    await this.othersEnd(graceMs);
    this.#released = true;
    for (const pulls of this.#pulls.values()) pulls.close();
    this.#options.onReleased?.();
  }

  #accept(envelope: TaskEnvelope): void {
    const { journal, serverNow, log } = this.#options;
    const { task_id, type, workload_id, fencing, trace_id } = envelope;
    if (this.#closed) {
      throw new AgentError('agent.draining', { reason: 'It is stopping.' });
    }
    if (this.#held !== undefined && !journal.task(task_id)) {
      throw new AgentError('agent.draining', { reason: this.#held });
    }
    const fenced = isTaskType(type) && taskSchemas[type].mutates;
    const { kind, task } = journal.accept(envelope, { now: serverNow(), fenced });
    log.info({ task_id, task_type: type, instance: workload_id, fencing, trace_id, status: kind }, 'task taken');
    if (kind === 'new') {
      this.#begin(task, { again: false });
    }
  }

  #begin(task: KeptTask, how: { readonly again: boolean }): void {
    const { task_id } = task.envelope;
    const cancel = new Cancellation({ hadBegun: task.phases.length > 0 });
    if (task.cancelled) {
      cancel.ask();
    }
    this.#cancels.set(task_id, cancel);
    const work = this.#carryOut(task, cancel, how)
      // Only the journal can fail here: the task has no result then, and is run again by the next start.
      .catch((error: unknown) => {
        this.#options.log.error({ task_id, err: error }, 'task could not be finished');
        return undefined;
      })
      .finally(() => {
        this.#cancels.delete(task_id);
        this.#atWork.delete(task_id);
      })
      .then((ended) => ended && this.#options.onEnded(task.envelope, ended));
    this.#atWork.set(task_id, work);
  }

  /** Undefined where the agent was closed meanwhile: the next start runs the task again. */
  async #carryOut(
    task: KeptTask,
    cancel: Cancellation,
    { again }: { readonly again: boolean },
  ): Promise<TaskResult | undefined> {
    const { dispatcher, supervisor, admit } = this.#options;
    const { envelope } = task;
    const occupation = occupationBy(envelope);
    const resume = occupation ? await supervisor.standAside(envelope.workload_id, occupation) : () => undefined;
    try {
      const report = this.#reporter(envelope);
      const onEvent = (event: WorkloadEvent) => {
        report(event);
        if (event.type === 'phase.entered') {
          cancel.begun();
        }
      };
      // What was begun once is finished: the host may refuse new work only.
      const result = await dispatcher.run(envelope, {
        ...{ cancel: cancel.signal, onEvent, again: again && task.phases.length > 0 },
        ...(again ? {} : { admit }),
      });
      this.#stopTelling(envelope.task_id);
      if (this.#released) {
        return undefined;
      }
      this.#finish(envelope, result);
      return result;
    } finally {
      this.#stopTelling(envelope.task_id);
      resume();
    }
  }

  #stopTelling(taskId: string): void {
    this.#pulls.get(taskId)?.close();
    this.#pulls.delete(taskId);
  }

  #finish(envelope: TaskEnvelope, result: TaskResult): void {
    const { journal, log } = this.#options;
    const { task_id, workload_id: instance } = envelope;
    journal.finish(result, changeBy(envelope, result, journal.workload(instance)));
    log.info({ task_id, instance, status: result.status, code: result.failure?.code }, 'task has ended');
  }

  #reporter(envelope: TaskEnvelope): (event: WorkloadEvent) => void {
    const { journal, supervisor, clock, log } = this.#options;
    const { task_id, workload_id, type } = envelope;
    const tell = (event: WorkloadEvent) => void journal.append('task.progress', { workload_id, task_id, event });
    const onError = (error: unknown) => log.warn({ task_id, err: error }, 'how a pull goes could not be told');
    const pulls = new Paced({ everyMs: pullReportMs, clock, tell, onError });
    this.#pulls.set(task_id, pulls);
    return (event) => {
      this.#listeners.get(task_id)?.(event);
      if (event.type === 'image.progress') {
        pulls.push(String(event.values['image'] ?? ''), event);
      } else if (event.type === 'phase.entered' && event.phase !== null) {
        // What was held back of the phase before is the past now.
        pulls.drop();
        // A job is not among the workloads that are looked after: its own reports say how it is.
        if (!isAboutJob(type)) supervisor.notePhase(workload_id, event.phase);
        journal.enter(task_id, event.phase, { workload_id, task_id, event });
      } else {
        tell(event);
      }
    };
  }
}

/** Undefined for a task that leaves all workloads as they are. */
function occupationBy({ type, params, allocation_id, fencing }: TaskEnvelope): Occupation | undefined {
  if (!isTaskType(type) || !taskSchemas[type].mutates) {
    return undefined;
  }
  const { identity } = (params ?? {}) as { identity?: { project_id?: unknown } };
  const project = identity?.project_id;
  return typeof project === 'string' ? { project_id: project, allocation_id, fencing } : undefined;
}

function failureOf(error: unknown): Failure {
  if (error instanceof AgentError) {
    return error.toFailure();
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new AgentError('internal', { reason }, { cause: error }).toFailure();
}

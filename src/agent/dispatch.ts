/**
 * Carries out one task: judges the envelope, runs the handler under deadline and cancel, turns whatever is thrown into
 * a failure. The only place where an error becomes a result.
 *
 *   envelope ─▶ schema ─▶ type ─▶ node, allocation ─▶ time ─▶ params ─▶ handler ─▶ result
 *                  └─────────┴───────────┴──────────────┴───────┴──▶ rejected, nothing was done
 *
 * Tasks of one workload run one after another; different workloads run side by side. One that is cancelled, or whose time
 * is over, while it waits for its turn has its result at once.
 */
import { AgentError, type Failure, type FailureKind } from '../contract/failures.ts';
import { TaskEnvelope, type TaskResult } from '../contract/task-envelope.ts';
import { isTaskType, type TaskParams, type TaskType, taskSchemas, workloadOf } from '../contract/tasks.ts';
import { judge, type PathError } from '../contract/validate.ts';
import type { WorkloadEvent } from '../contract/workload-output.ts';
import type { WorkloadState } from '../contract/workload-state.ts';
import type { JobMeans } from '../jobs/job-means.ts';
import { longTimeout } from '../kit/long-time.ts';
import { KeyedMutex } from '../kit/mutex.ts';
import { Slots } from '../kit/slots.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { ContainerEngine, PullCredential } from '../runtime/engine.ts';
import { patientEngine, patientStacks } from '../runtime/patient-engine.ts';
import type { StackRunner } from '../runtime/stacks.ts';
import { Admission } from '../tasks/admission.ts';
import { assertGvisor, wantsGvisor } from '../tasks/assert-gvisor.ts';
import { FailedTask } from '../tasks/failed-task.ts';
import type { GpuLedger } from '../tasks/gpu-ledger.ts';
import { taskHandlers } from '../tasks/index.ts';
import type { Lifecycle, TaskContext, TaskHandler } from '../tasks/task-context.ts';
import { cleanOutput } from './clean-output.ts';
import { discreetEngine } from './discreet-engine.ts';
import { askedFor } from './explain/asked.ts';
import { readSystemTrouble } from './system-trouble.ts';
import { openTaskLog, type TaskLog, type TaskLogOptions } from './task-log.ts';
import { TaskProgress } from './task-progress.ts';

export interface DispatcherOptions {
  readonly engine: ContainerEngine;
  readonly stacks: StackRunner;
  readonly policy: HostPolicy;
  readonly taskLogs: TaskLogOptions;
  readonly gpus: GpuLedger;
  readonly jobs: JobMeans;
  /** Opens a sealed value; see `identity/wrapping-key.ts`. */
  readonly unseal: (jwe: string) => Promise<Buffer>;
  readonly pullCredential?: (task: TaskEnvelope, signal: AbortSignal) => Promise<PullCredential | undefined>;
  /** The time that `not_after` is judged by, in milliseconds since 1970. */
  readonly now: () => number;
  /** Tasks that change something and may be at work at once; no limit if left out. */
  readonly parallel?: number;
  readonly lifecycle?: (envelope: TaskEnvelope) => Lifecycle;
  /** Of the launch that made a workload, where somebody remembers it. */
  readonly launchParams?: (workloadId: string) => TaskParams<'workload.oci_launch'> | undefined;
  readonly stackParams?: (workloadId: string) => TaskParams<'workload.compose_launch'> | undefined;
}

/** A task that was judged and is about to begin. */
export type Candidate = Pick<AcceptedTask, 'type' | 'params'>;

export interface RunOptions {
  /** The agent's own say, after everything else was found good: what it throws rejects the task. */
  readonly admit?: (candidate: Candidate) => void;
  /** Cancels the task: what it made is taken away again. */
  readonly cancel?: AbortSignal;
  readonly onEvent?: (event: WorkloadEvent) => void;
  /** An earlier life of the agent began it. */
  readonly again?: boolean;
}

/**
 * An update waits for those that are at work, and proves itself for minutes; a job may take days. They take no place of the
 * others.
 */
const takesNoPlace: ReadonlySet<TaskType> = new Set([
  ...(['agent.self_update', 'workload.job_launch', 'workload.job_control'] as const),
]);

/** It takes longer to ask than much of what a job that is prepared needs before its container. */
const believedMs = 60_000;

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #admission: Admission;
  readonly #workloads = new KeyedMutex();
  readonly #slots: Slots;
  /** What stands for gVisor has said that it is one, and is not asked again until then; of the monotonic clock. */
  #gvisorUntil = 0;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#admission = new Admission({ engine: patientEngine(options.engine, () => undefined), policy: options.policy });
    this.#slots = new Slots(options.parallel ?? Number.POSITIVE_INFINITY);
  }

  /** What decides whether a workload still fits; for whoever else starts one. */
  get admission(): Admission {
    return this.#admission;
  }

  /** Always resolves with exactly one result, whatever the envelope is. */
  async run(envelope: unknown, options: RunOptions = {}): Promise<TaskResult> {
    const { cancel, admit } = options;
    const startedAt = new Date().toISOString();
    let task: AcceptedTask;
    try {
      task = accept(envelope, this.#options);
      admit?.(task);
    } catch (error) {
      return resultOf(taskIdOf(envelope), startedAt, { status: 'rejected', output: null, failure: asFailure(error) });
    }

    // The deadline counts from here, also while the task waits for another one of its workload.
    const deadline = longTimeout(task.envelope.deadline_seconds * 1000);
    // Read-only tasks wait for nobody: a status must be had while a long launch runs.
    const work = () => this.#carryOut(task, deadline, options);
    const signal = cancel ? AbortSignal.any([deadline, cancel]) : deadline;
    const inTurn = () => (takesNoPlace.has(task.type) ? work() : this.#slots.run(signal, work));
    let outcome: Outcome;
    try {
      outcome = await (this.#waitsForOthers(task)
        ? this.#workloads.run(task.envelope.workload_id, inTurn, signal)
        : work());
    } catch (error) {
      outcome = couldNotBegin(error);
    }
    return resultOf(task.envelope.task_id, startedAt, outcome);
  }

  /** The end of a job is not to be waited for by whoever ends it, nor by whoever is told only that it has not ended. */
  #waitsForOthers({ type, envelope: { workload_id } }: AcceptedTask): boolean {
    if (type === 'workload.job_control') return false;
    if (type === 'workload.job_remove') return !this.#options.jobs.running.has(workload_id);
    return taskSchemas[type].mutates;
  }

  async #carryOut(
    { envelope, type, params }: AcceptedTask,
    deadline: AbortSignal,
    { cancel, onEvent, again = false }: RunOptions,
  ): Promise<Outcome> {
    const base = { task_type: type, instance: envelope.workload_id };
    const taskLog = openTaskLog(envelope.task_id, base, this.#options.taskLogs);
    const signal = cancel ? AbortSignal.any([deadline, cancel]) : deadline;
    const progress = new TaskProgress(taskLog, onEvent);
    const context = this.#contextFor(envelope, type, taskLog, progress, signal);
    const { attempt, fencing, trace_id, deadline_seconds } = envelope;
    taskLog.log.info({ attempt, fencing, trace_id, deadline_seconds, asked: askedFor(type, params) }, 'task begins');
    if (again) {
      progress.emit('task.resumed', 'The agent was started again, and goes on with what it had begun.', {});
    }

    let outcome: Outcome;
    try {
      signal.throwIfAborted();
      const lacking = await this.#whyNoGvisor(params, context, again);
      // What had begun is for the handler to end or to leave alone: it knows what there is of it.
      if (lacking && !again) throw lacking;
      const handler = taskHandlers[type] as TaskHandler<TaskType>;
      const output = await handler(params, { ...context, lacking });
      outcome = { status: 'succeeded', output, failure: null };
    } catch (error) {
      const clean = <Value>(value: Value) => taskLog.clean(value);
      outcome = failedOutcome(error, { deadline, cancel, phase: progress.phase, clean });
      taskLog.log.error({ code: outcome.failure?.code, phase: progress.phase, err: error }, 'task failed');
    }
    taskLog.log.info({ status: outcome.status, failure: outcome.failure }, 'task ends');
    // Its failure has been cleaned where it was made.
    const output = cleanOutput(taskSchemas[type].output, outcome.output, (value) => taskLog.clean(value));
    return { ...outcome, output };
  }

  /** Undefined also where nobody can say, for what had begun: its engine is waited for by whoever goes on with it. */
  async #whyNoGvisor(
    params: TaskParams<TaskType>,
    context: TaskContext,
    again: boolean,
  ): Promise<AgentError | undefined> {
    if (!wantsGvisor(params, context.policy) || performance.now() < this.#gvisorUntil) return undefined;
    try {
      await assertGvisor(context);
      this.#gvisorUntil = performance.now() + believedMs;
      return undefined;
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      return again && error.code !== 'sandbox.unavailable' ? undefined : error;
    }
  }

  #contextFor(
    envelope: TaskEnvelope,
    type: TaskType,
    taskLog: TaskLog,
    progress: TaskProgress,
    signal: AbortSignal,
  ): TaskContext {
    const { engine, stacks, policy, gpus, jobs, unseal, pullCredential } = this.#options;
    const onAway = (waitMs: number) => progress.emit('engine.away', awayMessage(waitMs), {});
    return {
      ...{ taskId: envelope.task_id, fencing: envelope.fencing, policy, gpus, jobs, signal, log: taskLog.log },
      engine: discreetEngine(taskSchemas[type].mutates ? patientEngine(engine, onAway) : engine, taskLog.hidden),
      stacks: patientStacks(stacks, onAway),
      admission: this.#admission,
      enter: (phase) => progress.enter(phase),
      emit: (type, message, values = {}) => progress.emit(type, message, values),
      events: () => progress.events(),
      unseal: async (jwe) => {
        const bytes = await unseal(jwe);
        taskLog.hide(bytes);
        return bytes;
      },
      pullCredential: async (wanted) => {
        const credential = await pullCredential?.(envelope, wanted);
        for (const secret of [credential?.bearer, credential?.password]) {
          if (secret !== undefined) taskLog.hide(secret);
        }
        return credential;
      },
      launchParams: this.#options.launchParams?.(envelope.workload_id),
      stackParams: this.#options.stackParams?.(envelope.workload_id),
      lifecycle: this.#options.lifecycle?.(envelope),
    };
  }
}

function awayMessage(waitMs: number): string {
  return `The engine is away; waiting up to ${waitMs / 1000} s for it.`;
}

interface AcceptedTask {
  readonly envelope: TaskEnvelope;
  readonly type: TaskType;
  readonly params: TaskParams<TaskType>;
}

interface Outcome {
  readonly status: TaskResult['status'];
  readonly output: unknown;
  readonly failure: Failure | null;
}

/** Everything that can be said about a task before anything is done. */
function accept(value: unknown, { policy, now }: DispatcherOptions): AcceptedTask {
  const envelope = judge(TaskEnvelope, value);
  if (!envelope.ok) {
    throw invalidTask(envelope.errors);
  }
  const { type, schema_version, node_id, allocation_id, not_after, workload_id } = envelope.value;
  if (!isTaskType(type) || taskSchemas[type].version !== schema_version) {
    throw new AgentError('task.unsupported', {
      reason: `It is ${type} version ${schema_version}.`,
      type,
      schema_version,
    });
  }
  if (node_id !== policy.node_id || allocation_id !== policy.allocation.id) {
    const expected = `${policy.node_id}, ${policy.allocation.id}`;
    throw new AgentError('task.untrusted', { reason: `This host is ${expected}.`, node_id, allocation_id });
  }
  // A date that is none is NaN: nothing is before it, so the task is refused.
  if (!(now() <= Date.parse(not_after))) {
    throw new AgentError('task.expired', { not_after });
  }

  const params = judge(taskSchemas[type].params, envelope.value.params);
  if (!params.ok) {
    throw invalidTask(params.errors.map((error) => ({ ...error, path: `/params${error.path}` })));
  }
  const accepted = params.value as TaskParams<TaskType>;
  if ('identity' in accepted) {
    if (workloadOf(accepted) !== workload_id) {
      const message = `must be the ${'job_id' in accepted.identity ? 'job_id' : 'app_instance_id'} of the params`;
      throw invalidTask([{ path: '/workload_id', code: 'mismatch', message }]);
    }
    if (accepted.identity.allocation_id !== policy.allocation.id) {
      const error = { path: '/params/identity/allocation_id', code: 'other_allocation' };
      const message = 'is not the allocation of this host';
      throw new AgentError('task.untrusted', { errors: [{ ...error, message }] });
    }
  }
  return { envelope: envelope.value, type, params: accepted };
}

function invalidTask(errors: readonly PathError[]): AgentError {
  const reason = errors.map(({ path, message }) => `${path || '/'} ${message}`).join('; ');
  return new AgentError('task.invalid', { reason: `${reason}.`, errors: errors.map((error) => ({ ...error })) });
}

/** A task whose log cannot be opened is not begun: nobody could tell later what it did. */
function couldNotBegin(error: unknown): Outcome {
  return { status: 'rejected', output: null, failure: asFailure(readSystemTrouble(error) ?? error) };
}

interface Circumstances {
  readonly deadline: AbortSignal;
  readonly cancel: AbortSignal | undefined;
  readonly phase: WorkloadState | null;
  /** Takes the task's secrets out of a value. */
  readonly clean: <Value>(value: Value) => Value;
}

const refusals: ReadonlySet<FailureKind> = new Set(['invalid', 'denied', 'conflict', 'exhausted']);

/** True for an answer to the task itself, as opposed to trouble on the way. */
function isRefusal({ code, kind }: Failure): boolean {
  return refusals.has(kind) || code === 'sandbox.unavailable' || code === 'sandbox.no_cards';
}

function failedOutcome(error: unknown, circumstances: Circumstances): Outcome {
  const cause = error instanceof FailedTask ? error.cause : error;
  const failure = withPhase(asFailure(cause, circumstances), circumstances.phase);
  const nothingDone = circumstances.phase === null && isRefusal(failure);
  return {
    status: failure.kind === 'cancelled' ? 'cancelled' : nothingDone ? 'rejected' : 'failed',
    output: error instanceof FailedTask ? error.output(failure) : null,
    failure,
  };
}

function withPhase(failure: Failure, phase: WorkloadState | null): Failure {
  return phase === null ? failure : { ...failure, detail: { phase, ...failure.detail } };
}

/** Whose fault an abort was is known here only: the handlers just see their signal. */
function asFailure(error: unknown, circumstances?: Circumstances): Failure {
  if (circumstances?.cancel?.aborted && isAbort(error, circumstances.cancel)) {
    return new AgentError('task.cancelled', { phase: circumstances.phase }, { cause: error }).toFailure();
  }
  if (circumstances?.deadline.aborted && isAbort(error, circumstances.deadline)) {
    return new AgentError('task.timed_out', { phase: circumstances.phase }, { cause: error }).toFailure();
  }
  if (error instanceof AgentError) {
    return error.toFailure(circumstances?.clean);
  }
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new AgentError('internal', { reason }, { cause: error }).toFailure(circumstances?.clean);
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return (
    error === signal.reason ||
    (error instanceof Error && error.cause === signal.reason) ||
    !(error instanceof AgentError)
  );
}

function resultOf(taskId: string, startedAt: string, outcome: Outcome): TaskResult {
  return { task_id: taskId, ...outcome, started_at: startedAt, finished_at: new Date().toISOString() };
}

/** The id of an envelope that may be anything at all. */
function taskIdOf(envelope: unknown): string {
  const id =
    typeof envelope === 'object' && envelope !== null ? (envelope as { task_id?: unknown }).task_id : undefined;
  return typeof id === 'string' ? id.slice(0, 64) : '';
}

/**
 * What a task handler is given. Handlers know no agent: whoever runs them (the daemon, `run-task`, a test) provides
 * this, and everything a handler does to the world goes through it.
 */
import type {
  AgentCollectDiagnosticsOutput,
  AgentCollectDiagnosticsParams,
} from '../contract/agent-collect-diagnostics.ts';
import type { AgentSelfUpdateOutput, AgentSelfUpdateParams, UpdatePhase } from '../contract/agent-self-update.ts';
import type { TaskOutput, TaskParams, TaskType } from '../contract/tasks.ts';
import type { WorkloadComposeLaunchParams } from '../contract/workload-compose-launch.ts';
import type { WorkloadOciLaunchParams } from '../contract/workload-oci-launch.ts';
import type { WorkloadEvent } from '../contract/workload-output.ts';
import type { WorkloadState } from '../contract/workload-state.ts';
import type { JobMeans } from '../jobs/job-means.ts';
import type { Log } from '../kit/log.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import type { ContainerEngine, PullCredential } from '../runtime/engine.ts';
import type { StackRunner } from '../runtime/stacks.ts';
import type { Admission } from './admission.ts';
import type { GpuLedger } from './gpu-ledger.ts';

export interface TaskContext {
  readonly taskId: string;
  /** Strictly increasing per workload; decides between two launches of one instance. */
  readonly fencing: number;
  readonly policy: HostPolicy;
  readonly engine: ContainerEngine;
  readonly stacks: StackRunner;
  readonly admission: Admission;
  /** What stands against a task that goes on after a restart, and would have kept it from being begun: what is not there yet is not made. */
  readonly lacking?: unknown;
  /** Cards of this host: leased before they are given to a container. */
  readonly gpus: GpuLedger;
  /** Goes to the task's own log file; values are redacted by allow-list. */
  readonly log: Log;
  /** Aborts on cancel and on deadline, never on agent shutdown: workloads outlive the agent. */
  readonly signal: AbortSignal;
  /** Declares the phase the workload is in now: an event, a log line, and what a timeout will name. */
  enter(phase: WorkloadState): void;
  /** Reports something that happened. Values must not hold a secret. */
  emit(type: string, message: string, values?: Record<string, unknown>): void;
  /** What was reported so far, oldest first, bounded. */
  events(): WorkloadEvent[];
  /** Opens a compact JWE with the node's wrapping key, in memory. `secret.unavailable` where it cannot. */
  unseal(jwe: string): Promise<Buffer>;
  /** Gives the pull credential for the task's image, asked again once after a refusal; undefined for anonymous. */
  pullCredential(signal: AbortSignal): Promise<PullCredential | undefined>;
  /** Of the launch that made the workload of this task, its secrets sealed; undefined where nobody remembers it. */
  readonly launchParams: WorkloadOciLaunchParams | undefined;
  /** The same where the workload is a stack. */
  readonly stackParams: WorkloadComposeLaunchParams | undefined;
  /** What is known of jobs, and what carrying them out needs. */
  readonly jobs: JobMeans;
  /** The life of the agent; undefined where a task is run without one. */
  readonly lifecycle: Lifecycle | undefined;
}

/** What a task may ask of the agent itself. */
export interface Lifecycle {
  /** Takes no new workloads from now on, also after a restart of the agent. A drain that has begun keeps its time. */
  beginDrain(reason: string): void;
  endDrain(): void;
  /** What drains, and what is on the host: workloads that are to run, tasks that are at work or wait. */
  look(): { readonly drainingSince: string | null; readonly workloads: number; readonly tasks: number };
  /** Everything that helps to understand this host from afar, without its secrets. Rejects only with the signal's reason. */
  diagnose(wish: AgentCollectDiagnosticsParams, signal: AbortSignal): Promise<AgentCollectDiagnosticsOutput>;
  /** Replaces the keys of the node, and gives the time of the control plane when it was done. Fails without a session. */
  rotateKeys(): Promise<string>;
  /** Resolves when the wanted version has proven itself. In between this process ends, and the next one goes on. */
  update(wish: AgentSelfUpdateParams, how: UpdateReport): Promise<AgentSelfUpdateOutput>;
}

/** Who wants the update, and how its progress is told. */
export interface UpdateReport {
  readonly taskId: string;
  /** Gives the update up, as long as nothing was changed. */
  readonly signal: AbortSignal;
  tell(phase: UpdatePhase, message: string, values?: Record<string, unknown>): void;
}

export type TaskHandler<T extends TaskType> = (params: TaskParams<T>, context: TaskContext) => Promise<TaskOutput<T>>;

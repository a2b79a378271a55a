/**
 * What the agent must not forget, in one file: journal first, act second, report until acknowledged.
 *
 *   accept ──▶ enter … ──▶ finish ──▶ (result waits in the outbox) ──▶ acknowledge ──▶ prune
 *
 * Every method that changes something has it on the disk when it returns, or throws; only what is said on the way (phases,
 * progress, metrics) and acknowledgements are kept from the end of the machine no sooner than the next of the others, for
 * which nothing waits. All are synchronous: a caller never
 * sees half of a change, and nothing happens between a check and the write that depends on it.
 *
 * It holds no secret in the clear: what a task brings sealed stays sealed.
 */
import type { RecordBody, RecordKind } from '../../contract/records.ts';
import type { TaskEnvelope, TaskResult } from '../../contract/task-envelope.ts';
import type { WorkloadComposeLaunchParams } from '../../contract/workload-compose-launch.ts';
import type { ReadinessCheck, RestartPolicy, WorkloadOciLaunchParams } from '../../contract/workload-oci-launch.ts';
import type { Endpoint } from '../../contract/workload-output.ts';
import type { WorkloadState } from '../../contract/workload-state.ts';
import type { JobRecords } from '../../jobs/job-record.ts';
import type { Lease } from '../../tasks/lease-choice.ts';

export interface Journal {
  /** Name of this journal towards the control plane; another one after it was rebuilt. */
  readonly id: string;
  /** What was wrong with the journal that was there; undefined where it could be used, or where there was none. */
  readonly rebuilt: Rebuilt | undefined;

  // Tasks

  /**
   * Keeps a task before anything is done for it. `task.invalid` if its id belongs to another task already; `disk.full`
   * if there is no room for it, and then nothing of it is kept.
   */
  accept(envelope: TaskEnvelope, circumstances: Circumstances): Acceptance;
  /** Notes the phase that a task is in now, and puts what is said about it into the outbox: both or none. */
  enter(taskId: string, phase: WorkloadState, progress?: RecordBody<'task.progress'>): void;
  /** Notes that the task is to be given up; undefined if it is not known or has ended. */
  cancel(taskId: string): KeptTask | undefined;
  /**
   * Keeps the result and puts it into the outbox, and keeps what became of the workload: all or none. The first result of
   * a task stays; a second is ignored, and its change with it, and so is one of a task that was never accepted.
   */
  finish(result: TaskResult, change?: WorkloadChange): void;
  task(taskId: string): KeptTask | undefined;
  /** Tasks without a result, in the order they were accepted. */
  unfinished(): KeptTask[];
  /** Newest first. */
  tasks(filter: { readonly workload_id?: string; readonly limit: number }): KeptTask[];

  // Workloads

  /** Highest fencing number seen for the workload; 0 if none was. */
  fencing(workloadId: string): number;
  /** Never lowers it. For what a seal says after a journal was lost; `taskId` is the task that the number is from. */
  raiseFencing(workloadId: string, fencing: number, taskId: string): void;
  workloads(): KeptWorkload[];
  workload(workloadId: string): KeptWorkload | undefined;
  /** Replaces what was known of it, and puts what is said about it into the outbox: both or none. */
  keepWorkload(workload: KeptWorkload, event?: RecordBody<'event'>): void;
  forgetWorkload(workloadId: string): void;

  // Cards

  /** Ordered by UUID. */
  leases(): Lease[];
  /** Replaces all leases of the instance: all or none. Fails where another instance has one of the cards. */
  keepLeases(instance: string, leases: readonly Lease[]): void;

  // Jobs

  /** What is known of jobs; each change is on the disk when it returns. */
  readonly jobs: JobRecords;
  /** The receipt of a task: the one that there is, or what `make` makes as the next link of the chain, on the disk with it. */
  addReceipt(taskId: string, make: MakeReceipt): string;

  // Outbox

  /**
   * Puts something into the outbox, to be sent in this order. What may be thinned is dropped and counted where the disk
   * is full; the rest then uses the journal's reserve.
   */
  append<K extends RecordKind>(kind: K, body: RecordBody<K>): void;
  /** What waits behind record number `after`, oldest first. */
  waiting(after: number, limit: number): WaitingRecord[];
  /** All records up to this number are kept by the control plane. */
  acknowledge(seq: number): void;
  /** What the control plane says at the begin of a session that it has; a journal that lost its end gets a new id. */
  resume(acked: { readonly journal_id: string; readonly seq: number } | null): void;
  /** Called after each write that appended something, until the returned function is. Progress and metrics can wait. */
  onAppend(listener: (how: { readonly canWait: boolean }) => void): () => void;
  depth(): OutboxDepth;
  /** What is damaged in the file, in words; null where it is sound. Reads all of it. */
  fault(): string | null;
  /** Events that were appended, acknowledged or not, newest first; bounded in number. */
  events(filter: { readonly workload_id?: string; readonly limit: number }): KeptEvent[];

  /**
   * Forgets ended tasks that nobody can deliver again, but for the newest (500 by default). `now` is server time in milliseconds since
   * 1970: past its `not_after` a task is refused, whether it is remembered or not.
   */
  prune(now: number): void;
  /**
   * Writes something that nobody reads, to show that it can. Throws where it cannot, but for want of room: that is told as such, and
   * whoever starts the agent again does not make any.
   */
  pulse(): void;
  close(): void;
}

/** Given its place in the chain and the receipt before it, as it travels. */
export type MakeReceipt = (place: { readonly chain: string; readonly number: number }, before: string | null) => string;

export interface Circumstances {
  /** Server time in milliseconds since 1970; `not_after` is judged by it, once. */
  readonly now: number;
  /** True for a task that changes its workload: its fencing must be above all that were seen. */
  readonly fenced: boolean;
}

/** What becomes of a task that was delivered. In each case it is on the disk, and the delivery may be answered. */
export type Acceptance =
  /** To be carried out. */
  | { readonly kind: 'new'; readonly task: KeptTask }
  /** Delivered before, and still at work. */
  | { readonly kind: 'at_work'; readonly task: KeptTask }
  /** Delivered before and ended: its result was put into the outbox again. */
  | { readonly kind: 'ended'; readonly task: KeptTask }
  /** `task.stale` or `task.expired`: never begun, its result says so. */
  | { readonly kind: 'rejected'; readonly task: KeptTask };

export interface KeptTask {
  readonly envelope: TaskEnvelope;
  /** RFC 3339. */
  readonly accepted_at: string;
  /** Phases entered, oldest first; a task that was run again has them more than once. */
  readonly phases: readonly { readonly phase: WorkloadState; readonly at: string }[];
  /** True once it was asked to be given up. */
  readonly cancelled: boolean;
  readonly result: TaskResult | null;
}

/** A workload that the agent looks after, also when it was restarted. */
export interface KeptWorkload {
  readonly workload_id: string;
  readonly project_id: string;
  readonly allocation_id: string;
  /** The launch it is from. */
  readonly task_id: string;
  readonly fencing: number;
  /** Of the launch; secrets in it are sealed. Null for a workload that was found by its seal after a journal was lost. */
  readonly params: WorkloadOciLaunchParams | null;
  /** For one without params: what the label of its container says. See `restartOf`. */
  readonly restart?: RestartPolicy;
  /** The same for its readiness checks; left out where nobody knows them. */
  readonly readiness?: readonly ReadinessCheck[];
  /** What the control plane wants; what it is may differ. */
  readonly desired: 'running' | 'stopped';
  readonly state: WorkloadState;
  /** RFC 3339; since when it is in this state. */
  readonly since: string;
  readonly endpoints: readonly Endpoint[];
  /** Restarts by the agent since the launch. */
  readonly restarts: number;
  /** Restarts in a row, without a stable time between them. */
  readonly streak: number;
  /** Set for a stack, whose `params` above are null. */
  readonly stack?: KeptStack;
  /** Cards of it that are not well, as others were told; left out for none. */
  readonly sick_gpus?: readonly SickCard[];
}

export interface SickCard {
  readonly uuid: string;
  /** The one that holds it; null for a single container. */
  readonly service: string | null;
  readonly reason: string;
  /** True for one that was gone: its container does not get it back. */
  readonly lost: boolean;
}

export interface KeptStack {
  /** Of the launch; null for a stack that was found by its seals after a journal was lost. */
  readonly params: WorkloadComposeLaunchParams | null;
  /** Every service, in the order of its topology. */
  readonly services: readonly KeptService[];
  /** For one without params: services that those that were found depend on, and that were not there. */
  readonly missing?: readonly string[];
}

/** One service of a stack, with the meaning that the same fields have for a workload. */
export interface KeptService {
  readonly service: string;
  readonly state: WorkloadState;
  readonly since: string;
  readonly restarts: number;
  readonly streak: number;
  /** For one without params: what the label of its container says; left out where nobody knows it. */
  readonly readiness?: readonly ReadinessCheck[];
  /** The same for a service that has done its work when it ends with 0. */
  readonly once?: boolean;
}

/** What a task made of its workload: the row to keep from now on, or null if there is nothing to look after any more. */
export type WorkloadChange = { readonly workload_id: string; readonly keep: KeptWorkload | null };

export interface WaitingRecord {
  readonly seq: number;
  readonly kind: RecordKind;
  /** RFC 3339. */
  readonly at: string;
  readonly body: unknown;
}

export interface KeptEvent {
  readonly at: string;
  readonly body: RecordBody<'event'>;
}

export interface OutboxDepth {
  readonly records: number;
  readonly bytes: number;
  /** Records that were dropped since the journal was opened because too many waited; never a result or an event. */
  readonly thinned: number;
  /** True while the disk has no room: no new task is accepted. */
  readonly full: boolean;
}

export interface Rebuilt {
  /** What SQLite said. */
  readonly reason: string;
  /** Where the unusable file is now. */
  readonly setAside: string;
}

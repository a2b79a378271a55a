/**
 * What is kept of a job: files and folders out of its containers, and the logs of its steps.
 *
 * Everything is spooled on the disk of the host first, and goes to the control plane from there, piece by piece, also while the
 * control plane is away and over restarts of the agent. A spooled output stays until the control plane has it, or does not
 * want it any more.
 */
import type { KeptOutput } from '../../contract/job-outputs.ts';
import type { JobPlan } from '../../contract/job-plan.ts';
import type { ReceiptFacts } from '../../contract/job-receipt.ts';
import type { LogEntry } from '../../runtime/engine.ts';

export type PlannedOutput = JobPlan['outputs'][number];

/** Where an output of a plan is found. */
export interface Whereabouts {
  readonly job: string;
  /** Name of a container that was created with the volume; it may run or have ended. */
  readonly container: string;
  /** Where the volume is in that container. */
  readonly target: string;
  /**
   * When its program may have been at work on it last, in milliseconds since 1970: now, while it runs, or when it was cut short.
   * Undefined where it has ended by itself, and left what it wanted to.
   */
  readonly written_until?: number | undefined;
}

export interface JobOutputs {
  /**
   * Keeps a file, or a folder as one archive, and begins to hand it over. Undefined where there is nothing at that path, which
   * the caller judges. What is as it was the last time is not kept twice. `output.refused` for what is neither file nor folder or
   * is too large, `output.unsettled` for what was written to in the two seconds before `written_until` or while it was read (its
   * `read_bytes` are how much was read for nothing), `disk.full`.
   */
  take(output: PlannedOutput, where: Whereabouts, signal: AbortSignal): Promise<KeptOutput | undefined>;
  /** The same for everything that a step has said. An output of a job may come again: the newest counts. */
  takeLog(job: string, step: string, entries: AsyncIterable<LogEntry>, signal: AbortSignal): Promise<KeptOutput>;
  /** What was kept of a job, by name. */
  of(job: string): readonly KeptOutput[];
  /** Resolves when the control plane has everything of a job, or `patience_ms` have gone by; false in the latter case. */
  handedOver(job: string, patienceMs: number, signal: AbortSignal): Promise<boolean>;
  /** Drops what is here of a job, handed over or not: for one that is to leave nothing. */
  forget(job: string): Promise<void>;
}

export interface JobReceipts {
  /**
   * The receipt of a task, as compact JWS: the next link of the chain, on the disk when this returns. Asked again for the same
   * task, it is the same one, whatever the facts: so it is asked for once the end of the job is on the disk, and again by
   * whoever takes up a job that has ended without one. Null on a host that is no node.
   */
  sign(facts: ReceiptFacts): string | null;
}

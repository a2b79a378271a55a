/** The kinds of documents that become jobs. A dialect is one line here, beside that in `dialects.ts`. */
import type { ExeScript } from '../contract/exe-script.ts';
import type { CommandPolicy, JobPlan } from '../contract/job-plan.ts';
import type { JobReport } from '../contract/job-report.ts';
import type { ManifestAbout } from '../contract/payload-manifest.ts';
import type { PathError } from '../contract/validate.ts';
import { readComputalotJob } from './computalot/read-job.ts';
import { dialectOf } from './dialects.ts';
import { readGolemJob } from './golem/read-job.ts';
import type { StepLog } from './nosana/flow-state.ts';
import { readNosanaJob } from './nosana/read-job.ts';
import type { PlannedJob, PlanWish } from './planned-job.ts';

export type ReadJob =
  | { readonly ok: false; readonly errors: readonly PathError[] }
  | {
      readonly ok: true;
      readonly warnings: readonly PathError[];
      /** Least memory of a card that its host has, also where the job asks for none; what the plan says if absent. */
      readonly gpuMemoryMib?: number;
      /** What nobody may keep in the clear, by JSON pointers that each lead to a text, and what is shown in its place. */
      readonly hidden: Readonly<Record<string, string>>;
      /** What it asks for itself, 0 where it does not say; absent where its kind of documents says nothing of that. */
      readonly asks?: { readonly gpu_count: number; readonly cpu_cores: number; readonly memory_gib: number };
      /** True for a project: a job is of a revision of it, and not of its manifest alone. */
      readonly needsRevision?: boolean;
      /** What holds where a submission does not say otherwise, in the place of what usually does. */
      readonly usual?: { readonly sandbox: JobPlan['sandbox']; readonly gpu_count: number };
      /** Of the hosts that can carry it out; any if absent. */
      readonly architectures?: readonly string[];
      /** What its author says of it, for people. */
      readonly about?: ManifestAbout;
      /** Only of what says what may be run, so that what is comes beside it: all that is wrong with that, by its path. */
      checkScript?(script: ExeScript): readonly PathError[];
      plan(wish: PlanWish): PlannedJob;
      /** What its author calls a step of the plan. */
      nameOf(step: string): string;
      /** As the tools of its own network read it; absent where they have no such thing. */
      flowState?(report: JobReport, queuedAt: string, logOf: (step: string) => StepLog): object;
    };

/** A document that is a job. */
export type AcceptedJob = Extract<ReadJob, { ok: true }>;
export type JobDialect = JobPlan['identity']['dialect'];

/** What is known beside the document; each may be left out. */
export interface JobReading {
  /** As in plans. */
  readonly command_policy?: CommandPolicy | undefined;
  /** Milliseconds since 1970; a document that holds for a time is refused outside of it. */
  readonly now?: number | undefined;
}

const readers: Record<JobDialect, (document: unknown, reading: JobReading) => ReadJob> = {
  nosana: readNosanaJob,
  computalot: readComputalotJob,
  golem: readGolemJob,
};
export const jobDialects = Object.keys(readers) as JobDialect[];

export function isJobDialect(dialect: string): dialect is JobDialect {
  return Object.hasOwn(readers, dialect);
}

/** Judges a document of that dialect; every error at once. */
export function readJob(dialect: JobDialect, document: unknown, reading: JobReading = {}): ReadJob {
  return readers[dialect](document, reading);
}

/** The job that a document is, whatever its dialect; undefined where it is none. */
export function jobOf(document: unknown): AcceptedJob | undefined {
  const dialect = dialectOf(document);
  const read = dialect !== null && isJobDialect(dialect) ? readJob(dialect, document) : undefined;
  return read?.ok ? read : undefined;
}

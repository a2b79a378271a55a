/**
 * What becomes of a job: the one place that changes its state.
 *
 *   queued ─▶ preparing ─▶ running ─▶ succeeded
 *     ▲           │           │
 *     └───────────┴───────────┘ begun anew, where the failure is none of its own
 *
 *   Each of the first three may become failed, cancelled or expired. What is over stays so.
 */
import type { Failure } from '../../contract/failures.ts';
import { type JobState, jobHasEnded } from '../../contract/job-state.ts';
import type { Job } from '../db/entities/job.ts';
import type { Tx } from '../db/store.ts';
import { forgetOutputs } from '../job-outputs/keep-outputs.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';
import { presentAttempt } from './jobs-at-work.ts';

export interface JobChange {
  readonly to: JobState;
  /** Why, in one sentence. */
  readonly reason: string;
  /** As events name it. */
  readonly actor: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly failure?: Failure | null;
  readonly set?: Partial<Pick<Job, 'attempts' | 'steps_ended' | 'cancelled_at' | 'started_at' | 'queued_at'>>;
}

/** The job as it is then. With its end go its secrets. */
export async function changeJob(tx: Tx, job: Job, change: JobChange): Promise<Job> {
  const { to, reason, actor, at, failure = null, set = {} } = change;
  if (jobHasEnded(job.state) && to !== job.state) throw new Error(`job ${job.id} is ${job.state} and cannot be ${to}`);
  const time = new Date(at).toISOString();
  const isNew = to !== job.state;
  const next: Job = {
    ...job,
    ...set,
    ...{ state: to, state_since: isNew ? time : job.state_since, reason: reason.slice(0, 1000), failure },
    ...{ ended_at: jobHasEnded(to) ? (job.ended_at ?? time) : null, updated_at: time },
  };
  // How far it is matters to nobody who looks for room.
  await tx.jobs.put(next, { quietly: !isNew && isWithHost(next) === isWithHost(job) });
  if (!isNew) return next;
  if (jobHasEnded(to)) await forgetSecrets(tx, job.id);
  const last = next.attempts.at(-1);
  await tx.events.append({
    ...{ time, type: `job.${to}`, project_id: job.project_id, subject: { kind: 'job', id: job.id } },
    ...{ actor, correlation_id: job.trace_id, message: next.reason },
    data: { attempt: last?.number ?? 0, node_id: last?.node_id ?? null, failure: failure?.code ?? null },
  });
  return next;
}

const isWithHost = (job: Job) => presentAttempt(job) !== undefined;

async function forgetSecrets(tx: Tx, id: string): Promise<void> {
  const kept = await tx.job_documents.get(id);
  if (kept && kept.sealed_secrets !== null) await tx.job_documents.put({ ...kept, sealed_secrets: null });
}

/** Everything of a job that is over. */
export async function forgetJob(tx: Tx, id: string, outputs: OutputFiles): Promise<void> {
  await forgetOutputs(tx, id, outputs);
  await tx.jobs.delete(id);
  await tx.job_documents.delete(id);
  await tx.job_news.delete(id);
}

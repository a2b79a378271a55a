/** Cancelling a job, and taking away what is left of one. */
import { AgentError } from '../../contract/failures.ts';
import { jobHasEnded } from '../../contract/job-state.ts';
import type { Job, JobAttempt } from '../db/entities/job.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import type { Tx } from '../db/store.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';
import { changeJob, forgetJob } from './job-changes.ts';
import { presentAttempt } from './jobs-at-work.ts';

/** How long a removal waits for a host that is away. */
const removalValidSeconds = 30 * 24 * 3600;

/**
 * Ends a job. One that waits is over at once; one that its host has is asked to end there, with its grace. What is over, or is
 * being ended already, stays as it is.
 */
export async function cancelJob(tx: Tx, queue: TaskQueue, cause: Cause, job: Job): Promise<Job> {
  if (jobHasEnded(job.state) || job.cancelled_at !== null) return job;
  const at = new Date(cause.now).toISOString();
  const { actor } = cause.who;
  const attempt = presentAttempt(job);
  if (attempt === undefined) {
    const failure = new AgentError('job.cancelled').toFailure();
    const reason = 'It was cancelled before it was begun.';
    return changeJob(tx, job, { to: 'cancelled', reason, actor, at: cause.now, failure, set: { cancelled_at: at } });
  }
  const asked: Job = { ...job, cancelled_at: at, reason: 'It is being cancelled.', updated_at: at };
  await tx.jobs.put(asked);
  await appendEvent(tx, cause, {
    ...{ type: 'job.cancelling', project_id: job.project_id, subject: { kind: 'job', id: job.id } },
    message: 'It is being cancelled.',
  });
  const launch = await tx.tasks.get(attempt.task_id);
  if (launch?.state === 'accepted') await askHost(tx, queue, cause, job, attempt);
  else await queue.cancel(tx, attempt.task_id);
  return (await tx.jobs.get(job.id)) ?? asked;
}

/** Its containers get their grace, which they would not where the task as such is given up. */
async function askHost(tx: Tx, queue: TaskQueue, cause: Cause, job: Job, attempt: JobAttempt): Promise<void> {
  await queue.enqueue(tx, {
    ...{ type: 'workload.job_control', purpose: 'job_cancel', trace_id: cause.correlationId },
    ...{ node_id: attempt.node_id, allocation_id: attempt.allocation_id, workload_id: job.id },
    project_id: job.project_id,
    params: { identity: refOf(job, attempt), action: 'cancel' },
  });
}

export interface Removing {
  readonly queue: TaskQueue;
  readonly outputs: OutputFiles;
}

/**
 * Takes a job out of the lists, and off its hosts what it was to keep there; `job.running` for one that is not over. True where
 * nothing is left of it already. While its host takes away what is left of it, the end of that is waited for: the result of its
 * task brings it here again.
 */
export async function removeJob(tx: Tx, { queue, outputs }: Removing, cause: Cause, job: Job): Promise<boolean> {
  if (!jobHasEnded(job.state)) throw new AgentError('job.running');
  if (job.removal_task_id !== null) return false;
  let task = presentAttempt(job)?.task_id ?? null;
  const kept = job.options.keep && task === null ? lastOfEachNode(job) : [];
  for (const attempt of kept) {
    const node = await tx.nodes.get(attempt.node_id);
    if (node === undefined || node.status === 'revoked' || node.allocation_id !== attempt.allocation_id) continue;
    const { id } = await queue.enqueue(tx, {
      ...{ type: 'workload.job_remove', purpose: 'job_remove', trace_id: cause.correlationId },
      ...{ node_id: node.id, allocation_id: attempt.allocation_id, workload_id: job.id, project_id: job.project_id },
      ...{ params: { identity: refOf(job, attempt) }, valid_seconds: removalValidSeconds },
    });
    task = id;
  }
  if (task !== null)
    await tx.jobs.put({ ...job, removal_task_id: task, updated_at: new Date(cause.now).toISOString() });
  else await jobRemoved(tx, cause, job, outputs);
  return task === null;
}

/** Nothing of it is left on a host. */
export async function jobRemoved(tx: Tx, cause: Cause, job: Job, outputs: OutputFiles): Promise<void> {
  await forgetJob(tx, job.id, outputs);
  await appendEvent(tx, cause, {
    ...{ type: 'job.removed', project_id: job.project_id, subject: { kind: 'job', id: job.id } },
    message: `${job.name} was removed.`,
  });
}

function lastOfEachNode({ attempts }: Job): JobAttempt[] {
  return [...new Map(attempts.map((attempt) => [attempt.node_id, attempt])).values()];
}

function refOf({ project_id, id }: Job, { allocation_id }: JobAttempt) {
  return { project_id, job_id: id, allocation_id };
}

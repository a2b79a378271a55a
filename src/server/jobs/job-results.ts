/**
 * Makes jobs what their hosts report. Called inside the transaction that keeps each report, once per report, before the sink
 * behind it, which knows no jobs.
 *
 * A job has succeeded as soon as its host has signed that: its attempt stays open until the result of the task, as its host takes away
 * what is left of it. Any other end is that of the task, which says whether the job is begun anew.
 */
import type { Failure } from '../../contract/failures.ts';
import type { JobTaskOutput } from '../../contract/job-output.ts';
import { type JobState, jobHasEnded, stepHasEnded } from '../../contract/job-state.ts';
import type { RecordBody } from '../../contract/records.ts';
import { type Clock, steadyTime } from '../../kit/clock.ts';
import { readUnverified } from '../../policy/job-receipts.ts';
import type { Job, JobAttempt, JobNews } from '../db/entities/job.ts';
import type { Node } from '../db/entities/node.ts';
import type { Tx } from '../db/store.ts';
import type { EndedTask, RecordSink } from '../hub/record-sink.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import { factsOf, shortMessage } from '../instances/instance-reports.ts';
import type { OutputFiles } from '../job-outputs/output-files.ts';
import { endIfEmpty } from '../resources/release-allocation.ts';
import { notePrepared } from '../revisions/note-prepared.ts';
import { commitsOf } from './input-commits.ts';
import { jobRemoved, type Removing, removeJob } from './job-actions.ts';
import { changeJob } from './job-changes.ts';
import { isBegunAgain } from './job-retries.ts';
import { presentAttempt } from './jobs-at-work.ts';

export interface FollowingParts {
  /** The queue that calls this sink; asked for when it is needed, since each needs the other. */
  readonly queue: () => TaskQueue;
  readonly clock: Clock;
  readonly outputs: OutputFiles;
}

export function followingJobs(sink: RecordSink, { queue, clock, outputs }: FollowingParts): RecordSink {
  const now = steadyTime(clock);
  return {
    taskEnded: async (tx, task) => {
      if (task.purpose === 'job') await launchEnded(tx, { queue: queue(), outputs }, task, now());
      else if (task.purpose === 'job_cancel') await cancelEnded(tx, queue(), task);
      else if (task.purpose === 'job_remove') await removalEnded(tx, outputs, task, now());
      else await sink.taskEnded(tx, task);
    },
    recorded: async (tx, node, record) => {
      if (record.kind === 'job.report') return await reported(tx, node, record.body, now());
      const told = record.kind === 'event' || record.kind === 'task.progress' ? record.body : undefined;
      const job = told && told.workload_id !== null ? await tx.jobs.get(told.workload_id) : undefined;
      if (told === undefined || job === undefined) return await sink.recorded(tx, node, record);
      // The end is the last that its followers are told.
      const isAtWork = presentAttempt(job)?.node_id === node.id && !jobHasEnded(job.state);
      if (isAtWork) await happened(tx, node, job, told.event, now());
    },
    nodeAway: (tx, node) => sink.nodeAway(tx, node),
    nodeBack: (tx, node) => sink.nodeBack(tx, node),
  };
}

type Happened = RecordBody<'event'>['event'];

async function happened(tx: Tx, node: Node, job: Job, { type, message, values, time }: Happened, now: number) {
  await tx.events.append({
    ...{ time: new Date(now).toISOString(), type: 'job.reported', project_id: job.project_id },
    ...{ subject: { kind: 'job', id: job.id }, actor: `node:${node.id}`, correlation_id: job.trace_id },
    message: shortMessage(message),
    data: factsOf(values, { type, time }),
  });
  // Preparing may take an hour: its state says what of it is at work.
  if (!progress.has(type) || job.state !== 'preparing' || job.cancelled_at !== null) return;
  await tx.jobs.put({ ...job, reason: shortMessage(message) }, { quietly: true });
}

const progress: ReadonlySet<string> = new Set(['image.progress', 'input.progress']);

async function reported(tx: Tx, node: Node, body: RecordBody<'job.report'>, now: number): Promise<void> {
  const job = await tx.jobs.get(body.workload_id);
  const attempt = job && presentAttempt(job);
  // What a host says of a job that it does not have counts for nothing, nor what it said before the end.
  if (!job || attempt?.node_id !== node.id || attempt.task_id !== body.task_id || jobHasEnded(job.state)) return;
  const { report, endpoints, outputs, receipt = null } = body;
  await keepNews(tx, { id: job.id, attempt: attempt.number, report, endpoints, outputs, receipt });
  await notePrepared(tx, job, attempt, report, now);
  const isSigned = report.state === 'succeeded' && isReceiptOf(job, attempt, receipt) && job.cancelled_at === null;
  const to = isSigned ? report.state : laterOf(job.state, report.state);
  const begun = attempt.begun || report.started_at !== null;
  const time = new Date(now).toISOString();
  await changeJob(tx, job, {
    ...{ to, reason: job.cancelled_at === null ? report.summary : job.reason, actor: `node:${node.id}`, at: now },
    set: {
      attempts: withLast(job, { ...attempt, state: to, begun }),
      ...commitsOf(job, report),
      steps_ended: endedSteps(report),
      started_at: job.started_at ?? (begun ? time : null),
    },
  });
}

/** One of another job, attempt or end proves nothing about this one. */
function isReceiptOf({ id }: Job, { number, task_id }: JobAttempt, receipt: string | null): boolean {
  const said = receipt === null ? undefined : readUnverified(receipt);
  return said?.job_id === id && said.task_id === task_id && said.attempt === number && said.state === 'succeeded';
}

const order = ['queued', 'preparing', 'running'];
/** An end is none of them. */
const laterOf = (a: JobState, b: JobState) => (order.indexOf(b) > order.indexOf(a) ? b : a);

async function launchEnded(tx: Tx, removing: Removing, task: EndedTask, now: number): Promise<void> {
  const job = await tx.jobs.get(task.workload_id);
  const attempt = job && presentAttempt(job);
  if (!job || attempt?.task_id !== task.id) return;
  const over = jobHasEnded(job.state)
    ? await cleanedUp(tx, job, attempt, task, now)
    : await carriedOut(tx, job, attempt, task, now);
  const cause = { now, correlationId: job.trace_id, who: { actor: 'system' } };
  await endIfEmpty(tx, removing.queue, cause, attempt.allocation_id);
  if (over.removal_task_id === task.id) await removeJob(tx, removing, cause, { ...over, removal_task_id: null });
}

/** What became of the job is known already, and stays so whatever its host says now. */
async function cleanedUp(tx: Tx, job: Job, attempt: JobAttempt, task: EndedTask, now: number): Promise<Job> {
  const { status, failure } = task.result;
  const over = { ...attempt, failure: status === 'succeeded' ? null : failure, ended_at: new Date(now).toISOString() };
  const set = { attempts: withLast(job, over) };
  return await changeJob(tx, job, { to: job.state, reason: job.reason, actor: `node:${task.node_id}`, at: now, set });
}

async function carriedOut(tx: Tx, job: Job, attempt: JobAttempt, task: EndedTask, now: number): Promise<Job> {
  const { result } = task;
  const output = result.output as JobTaskOutput | null;
  if (output?.report) {
    const { report, endpoints, outputs, receipt } = output;
    await keepNews(tx, { id: job.id, attempt: attempt.number, report, endpoints, outputs, receipt });
    await notePrepared(tx, job, attempt, report, now);
  }
  const failure = result.status === 'succeeded' ? null : (result.failure ?? output?.failure ?? null);
  const begun = attempt.begun || result.status !== 'rejected';
  const ended = endOf(job, task, output, failure);
  const time = new Date(now).toISOString();
  const over: JobAttempt = { ...attempt, state: ended, failure, begun, ended_at: time };
  const after = { ...job, attempts: withLast(job, over) };
  const again = ended === 'failed' && isBegunAgain(after, failure);
  const steps_ended = output?.report ? endedSteps(output.report) : job.steps_ended;
  return await changeJob(tx, job, {
    ...{ to: again ? 'queued' : ended, actor: `node:${task.node_id}`, at: now, failure: again ? null : failure },
    reason: reasonOf(again, output, failure, ended),
    set: {
      attempts: after.attempts,
      ...(output?.report && commitsOf(job, output.report)),
      // One that no host has begun keeps its place.
      ...{ steps_ended: again ? 0 : steps_ended, queued_at: again && begun ? time : job.queued_at },
      started_at: job.started_at ?? (begun ? time : null),
    },
  });
}

function endOf(job: Job, { result }: EndedTask, output: JobTaskOutput | null, failure: Failure | null): JobState {
  if (result.status === 'succeeded') return 'succeeded';
  if (result.status === 'cancelled' || job.cancelled_at !== null) return 'cancelled';
  return output?.report?.state === 'expired' || failure?.code === 'job.expired' ? 'expired' : 'failed';
}

function reasonOf(again: boolean, output: JobTaskOutput | null, failure: Failure | null, ended: JobState): string {
  const said = failure?.message ?? output?.summary ?? `It is ${ended}.`;
  return again ? `It is begun again: ${said}` : said;
}

/** A host that would not end it gracefully gets the launch itself taken back. */
async function cancelEnded(tx: Tx, queue: TaskQueue, task: EndedTask): Promise<void> {
  const job = await tx.jobs.get(task.workload_id);
  const attempt = job && presentAttempt(job);
  if (attempt && task.result.status !== 'succeeded') await queue.cancel(tx, attempt.task_id);
}

async function removalEnded(tx: Tx, outputs: OutputFiles, task: EndedTask, now: number): Promise<void> {
  const job = await tx.jobs.get(task.workload_id);
  if (job?.removal_task_id !== task.id) return;
  const { status, failure } = task.result;
  const cause = { now, correlationId: task.trace_id, who: { actor: `node:${task.node_id}` } };
  // A host that knows nothing of it has nothing of it.
  if (status === 'succeeded' || failure?.code === 'job.not_found') {
    await jobRemoved(tx, cause, job, outputs);
    return;
  }
  const reason = `What it left on its host is there still: ${failure?.message ?? status}`.slice(0, 1000);
  await tx.jobs.put({ ...job, removal_task_id: null, reason, updated_at: new Date(now).toISOString() });
}

/**
 * while a job is begun anew, what was last reported of it stays readable until a step of the new attempt has begun, and what
 * was kept of it until something else is. What its host says until then is noted beside that.
 */
async function keepNews(tx: Tx, news: JobNews): Promise<void> {
  const before = await tx.job_news.get(news.id);
  if (before === undefined) return await tx.job_news.insert(news);
  const isBegun = news.report.steps.some(({ started_at }) => started_at !== null);
  if (before.attempt < news.attempt && !isBegun) {
    const { attempt, report, outputs } = news;
    return await tx.job_news.put({ ...before, ahead: { attempt, state: report.state, outputs } });
  }
  const kept = news.outputs.length === 0 && before.attempt < news.attempt ? before.outputs : news.outputs;
  await tx.job_news.put({ ...news, outputs: kept });
}

function endedSteps({ steps }: JobNews['report']): number {
  return steps.filter(({ state }) => stepHasEnded(state)).length;
}

function withLast({ attempts }: Job, last: JobAttempt): JobAttempt[] {
  return [...attempts.slice(0, -1), last];
}

/** How tasks pass from the queue to a node: handed out as leases, answered or handed out again. */
import { AgentError, type Failure } from '../../contract/failures.ts';
import { jobHasEnded } from '../../contract/job-state.ts';
import type { Task } from '../db/entities/task.ts';
import { newId } from '../db/new-id.ts';
import type { Tx } from '../db/store.ts';
import { neverSent, type TaskQueue } from './task-queue.ts';

/** A task on its way to a node. */
export type LeasedTask = Task & { readonly state: 'leased'; readonly lease: NonNullable<Task['lease']> };

/**
 * Takes up to `limit` tasks of a node out of the queue, oldest first. Two callers never get the same one. The node
 * must be known to have a session: what is handed out there is taken back by the admission of the next one.
 */
export async function claim(tx: Tx, queue: TaskQueue, nodeId: string, limit: number): Promise<LeasedTask[]> {
  const now = queue.serverTime();
  const listed = () => tx.tasks.list({ where: { node_id: nodeId, state: 'queued' }, limit });
  const isExpired = (task: Task) => neverSent(task) && task.not_after <= now;
  let queued = await listed();
  // First: what follows an end may queue more, and claim that behind all that came before it.
  for (let expired = queued.filter(isExpired); expired.length > 0; expired = queued.filter(isExpired)) {
    for (const task of expired) await queue.end(tx, task, 'rejected', new AgentError('task.expired').toFailure());
    queued = await listed();
  }
  const leased: LeasedTask[] = [];
  for (const task of queued) {
    const next: LeasedTask = { ...task, state: 'leased', lease: { id: newId(Date.parse(now)), since: queue.now() } };
    await tx.tasks.put(next);
    leased.push(next);
  }
  return leased;
}

/** The node has the task on disk. Late answers count: what the node has it will report, whichever lease brought it. */
export async function accepted(tx: Tx, nodeId: string, taskId: string): Promise<Task | undefined> {
  const task = await tx.tasks.get(taskId);
  if (!task || task.node_id !== nodeId || task.state === 'ended') return undefined;
  const next: Task = { ...task, state: 'accepted', lease: null };
  await tx.tasks.put(next);
  return next;
}

/**
 * The node did not take it: for good, unless the failure is one that passes by itself and there is time for that. A node
 * that refuses a task does not have it. Nobody launches on a full disk in the hope that it will be emptied: whoever waits is
 * told.
 */
export async function refused(tx: Tx, queue: TaskQueue, leaseHolder: LeaseAnswer, failure: Failure): Promise<void> {
  const task = await tx.tasks.get(leaseHolder.taskId);
  if (task?.lease?.id !== leaseHolder.leaseId || task.node_id !== leaseHolder.nodeId) return;
  const isHopeless = leadsToLaunch.has(task.purpose) && failure.code === 'disk.full';
  if (failure.retryable && !isHopeless && task.not_after > queue.serverTime()) await tx.tasks.put(again(task));
  else await queue.end(tx, task, 'rejected', failure);
}

const leadsToLaunch: ReadonlySet<Task['purpose']> = new Set(['preflight', 'launch']);

interface LeaseAnswer {
  readonly nodeId: string;
  readonly taskId: string;
  readonly leaseId: string;
}

/** A delivery was not answered in time: the task is handed out again. */
export async function lapse(tx: Tx, taskId: string, leaseId: string): Promise<void> {
  const task = await tx.tasks.get(taskId);
  if (task?.lease?.id === leaseId) await tx.tasks.put(again(task));
}

/** The session that deliveries were made on is over, so none of them will be answered. */
export async function lapseAll(tx: Tx, nodeId: string): Promise<void> {
  for (const task of await tx.tasks.list({ where: { node_id: nodeId, state: 'leased' } })) {
    await tx.tasks.put(again(task));
  }
}

/**
 * Nobody knows whether the node still has what it had accepted. Doing it twice is safe, forgetting it is not; but a job that is
 * known to be over is not begun again.
 */
export async function handOutAgain(tx: Tx, queue: TaskQueue, nodeId: string): Promise<void> {
  for (const task of await tx.tasks.list({ where: { node_id: nodeId, state: 'accepted' } })) {
    if (await isOverJob(tx, task)) await queue.end(tx, task, 'failed', forgotten);
    else await tx.tasks.put(again(task));
  }
  queue.wakeAfter(tx, nodeId);
}

const reason = 'The node may have forgotten the job before it had taken away what was left of it.';
const forgotten = new AgentError('internal', { reason }).toFailure();

async function isOverJob(tx: Tx, { purpose, workload_id }: Task): Promise<boolean> {
  const job = purpose === 'job' ? await tx.jobs.get(workload_id) : undefined;
  return job !== undefined && jobHasEnded(job.state);
}

function again(task: Task): Task {
  return { ...task, state: 'queued', lease: null, attempt: task.attempt + 1 };
}

/**
 * The end of an allocation: its instances and jobs first, then what they left, then itself.
 *
 *   releasing ──(nothing runs there)──▶ wiped by its host, where its data is not to be kept ──▶ ended
 *
 * It ends only with the word of its host that nothing is left, so whoever gets the host next finds nothing: a host that is
 * away, or on which a part would not go, is waited for. One that is revoked cannot be asked, and the end says so.
 */
import type { AgentWipeOutput } from '../../contract/agent-wipe.ts';
import type { Allocation } from '../db/entities/allocation.ts';
import type { AppInstance } from '../db/entities/app-instance.ts';
import type { Job } from '../db/entities/job.ts';
import { appendEvent, type Cause } from '../db/events.ts';
import type { ReadTx, Tx } from '../db/store.ts';
import type { EndedTask } from '../hub/record-sink.ts';
import type { TaskQueue } from '../hub/task-queue.ts';
import { cancelJob } from '../jobs/job-actions.ts';
import { openStates, presentAttempt } from '../jobs/jobs-at-work.ts';

/** Asks for the decommissioning of one instance; one that is on its way already is left alone. */
export type Decommission = (tx: Tx, cause: Cause, instance: AppInstance) => Promise<unknown>;

/** Begins the end of an allocation, or asks again for what has failed of it, and returns it as it then is. */
export type ReleaseAllocation = (tx: Tx, cause: Cause, allocation: Allocation) => Promise<Allocation>;

/** How long the wipe waits for a host that is away before it is told as failed; it is asked for again when that is back. */
const wipeValidSeconds = 30 * 24 * 3600;
/** Folders that the event names of what was wiped. */
const mostNamed = 50;

export function releasing(decommission: Decommission, queue: TaskQueue): ReleaseAllocation {
  return async (tx, cause, allocation) => {
    if (allocation.state === 'active') {
      await tx.allocations.put({ ...allocation, state: 'releasing' });
      await note(tx, cause, allocation, 'allocation.releasing', {
        message: 'The allocation ends; its instances are being decommissioned.',
      });
    }
    for (const instance of await remaining(tx, allocation.id)) {
      await decommission(tx, cause, instance);
    }
    for (const job of await jobsLeft(tx, allocation)) {
      await cancelJob(tx, queue, cause, job);
    }
    await endIfEmpty(tx, queue, cause, allocation.id);
    return (await tx.allocations.get(allocation.id)) ?? allocation;
  };
}

/**
 * Ends an allocation that is releasing, where nothing runs any more, and whose host keeps nothing that it should not. To be called
 * when an instance is decommissioned, when a job is over, and when the host is back: what failed is asked for again.
 */
export async function endIfEmpty(tx: Tx, queue: TaskQueue, cause: Cause, allocationId: string): Promise<void> {
  const allocation = await tx.allocations.get(allocationId);
  if (allocation?.state !== 'releasing' || (await remaining(tx, allocationId)).length > 0) return;
  if (await hasLaunches(tx, allocation)) return;
  const node = allocation.node_id === null ? undefined : await tx.nodes.get(allocation.node_id);
  const { wipe, data_policy: policy } = allocation;
  if (node && node.status !== 'revoked' && policy === 'wipe' && wipe?.state !== 'done') {
    if (wipe?.state === 'asked') return;
    const { id } = await queue.enqueue(tx, {
      ...{ node_id: node.id, allocation_id: allocationId, project_id: allocation.project_id },
      ...{ type: 'agent.wipe', purpose: 'wipe', params: {}, trace_id: cause.correlationId },
      valid_seconds: wipeValidSeconds,
    });
    await tx.allocations.put({ ...allocation, wipe: { state: 'asked', task_id: id, reason: null } });
    return;
  }
  const ended_at = new Date(cause.now).toISOString();
  await tx.allocations.put({ ...allocation, state: 'ended', ended_at });
  const wiped = wipe?.state === 'done';
  await note(tx, cause, allocation, 'allocation.ended', {
    message: `The allocation has ended; ${node ? whatIsLeft(wiped, policy) : 'it had no host, so nothing is left of it'}.`,
    data: { node_id: allocation.node_id, data_policy: policy, wiped },
  });
}

function whatIsLeft(wiped: boolean, policy: Allocation['data_policy']): string {
  if (wiped) return 'its host has wiped what it left';
  return policy === 'keep'
    ? 'the data of its instances is kept on its host'
    : 'its host was revoked before it could wipe, so what it left may be there still';
}

/** The host has wiped, or says why not. The event is the evidence. */
export async function wipeEnded(tx: Tx, queue: TaskQueue, cause: Cause, task: EndedTask): Promise<void> {
  const allocation = await tx.allocations.get(task.allocation_id);
  if (allocation?.state !== 'releasing' || allocation.wipe?.task_id !== task.id) return;
  const { status, failure } = task.result;
  const facts = { node_id: task.node_id, task_id: task.id };
  if (status === 'succeeded') {
    const { containers, removed, kept } = task.result.output as AgentWipeOutput;
    await tx.allocations.put({ ...allocation, wipe: { ...allocation.wipe, state: 'done' } });
    await note(tx, cause, allocation, 'allocation.wiped', {
      message: `Its host has wiped what the allocation left: ${removed.length} folders, ${containers} containers.`,
      data: { ...facts, containers, folders: removed.length, removed: removed.slice(0, mostNamed), kept },
    });
  } else {
    const reason = failure?.message ?? `The task ended as ${status}.`;
    await tx.allocations.put({ ...allocation, wipe: { ...allocation.wipe, state: 'failed', reason } });
    await note(tx, cause, allocation, 'allocation.wipe_failed', {
      message: `What the allocation left on its host is not wiped: ${reason} It is tried again when the host reconnects.`,
      data: { ...facts, failure: failure?.code ?? null },
    });
    // Asked again at once it would fail at once. A node that was revoked meanwhile is not asked again at all.
    if ((await tx.nodes.get(task.node_id))?.status !== 'revoked') return;
  }
  await endIfEmpty(tx, queue, cause, allocation.id);
}

interface Told {
  readonly message: string;
  readonly data?: Record<string, unknown>;
}

async function note(tx: Tx, cause: Cause, { id, project_id }: Allocation, type: string, told: Told): Promise<void> {
  await appendEvent(tx, cause, { ...told, type, project_id, subject: { kind: 'allocation', id } });
}

/** True while its host is at a job, also where that is over and only the clean-up is not. */
async function hasLaunches(tx: ReadTx, { id, node_id }: Allocation): Promise<boolean> {
  if (node_id === null) return false;
  const open = await tx.tasks.list({ where: { node_id, state: ['queued', 'leased', 'accepted'] } });
  return open.some(({ purpose, allocation_id }) => purpose === 'job' && allocation_id === id);
}

/** Those that it has now: where a job may run again, it does so elsewhere. */
async function jobsLeft(tx: ReadTx, { id, project_id }: Allocation): Promise<Job[]> {
  const open = await tx.jobs.list({ where: { project_id, state: openStates } });
  return open.filter((job) => presentAttempt(job)?.allocation_id === id);
}

async function remaining(tx: ReadTx, allocationId: string): Promise<AppInstance[]> {
  const all = await tx.app_instances.list({ where: { allocation_id: allocationId } });
  return all.filter(({ state }) => state !== 'decommissioned');
}

/**
 * Sends the tasks of one node over one session: never more than the node has asked for, each as a lease with a time limit.
 *
 * How many may be sent is told by the node as a whole number and how many had reached it by then, so that messages that
 * crossed each other are not counted twice.
 */
import { AgentError, type Failure } from '../../contract/failures.ts';
import { type Backoff, backoffDelay } from '../../kit/backoff.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { Store, Tx } from '../db/store.ts';
import type { TaskKeys } from '../keys/task-keys.ts';
import { isCurrent } from './admission.ts';
import type { Connection } from './connection.ts';
import { accepted, claim, type LeasedTask, lapse, refused } from './leases.ts';
import type { TaskQueue } from './task-queue.ts';

/** Most tasks that are leased in one transaction, so that nobody else waits long for the store. */
const maxBatch = 16;
/** Longest JWS that fits into a message. */
const maxJws = 900_000;
/** After a refusal that passes by itself. */
const refusalBackoff: Backoff = { firstMs: 1000, maxMs: 60_000, factor: 2 };

export interface TaskOutletOptions {
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly keys: TaskKeys;
  readonly clock: Clock;
  readonly log: Log;
  readonly leaseSeconds: number;
  readonly nodeId: string;
  readonly epoch: number;
  /** Task key that the node believes. */
  readonly taskKid: string;
  readonly connection: Connection;
  /** Tasks are signed with a key by now that the node learns of with its next welcome only. */
  onKeyReplaced(): void;
  onFailure(error: unknown): void;
}

export class TaskOutlet {
  readonly #options: TaskOutletOptions;
  readonly #leases = new Map<string, { readonly taskId: string; readonly answered: AbortController }>();
  readonly #cancelled = new Set<string>();
  #allowed = 0;
  #sent = 0;
  #refusals = 0;
  #resting = false;
  #working = false;
  /** Claimed and not sent yet. */
  readonly #claimed: LeasedTask[] = [];
  /** False while everything that is queued was claimed in the transaction that queued it. */
  #mayBeQueued = true;

  constructor(options: TaskOutletOptions) {
    this.#options = options;
  }

  /** What the node can take, and how many tasks of this session had reached it when it said so. */
  pull(credits: number, received: number): void {
    this.#allowed = received + credits;
    this.#run();
  }

  /** Tells the node what was given up while it was away. */
  async begin(): Promise<void> {
    const { store, nodeId } = this.#options;
    const held = await store.read((tx) => tx.tasks.list({ where: { node_id: nodeId, state: 'accepted' } }));
    for (const { id, cancel_requested } of held) if (cancel_requested) this.cancel(id);
    this.wake();
  }

  /** Asks the node to give a task up, once; about one that it does not have yet it is asked again behind it. */
  cancel(taskId: string): void {
    if (this.#cancelled.has(taskId)) return;
    this.#cancelled.add(taskId);
    this.#options.connection.send({ type: 'task_cancel', task_id: taskId });
  }

  /** Something may be there to send. */
  wake(): void {
    this.#mayBeQueued = true;
    this.#run();
  }

  /** Takes what the node can take out of the queue; sent once the transaction is committed. */
  async claim(tx: Tx): Promise<void> {
    const { queue, nodeId, epoch } = this.#options;
    // Another session may have taken over that has taken back all leases of this one: it must not get new ones.
    if (!isCurrent(await tx.nodes.get(nodeId), epoch)) return;
    // Also those that were claimed in this very transaction, or in one that is committed with it.
    const unsent = (await tx.tasks.count({ node_id: nodeId, state: 'leased' })) - this.#leases.size;
    const room = this.#room - Math.max(unsent, this.#claimed.length);
    const leased = room > 0 ? await claim(tx, queue, nodeId, room) : [];
    tx.afterCommit(() => {
      this.#mayBeQueued ||= leased.length >= room;
      this.#claimed.push(...leased);
      this.#run();
    });
  }

  async accepted(leaseId: string, taskId: string): Promise<void> {
    this.#answer(leaseId);
    this.#refusals = 0;
    const { store, nodeId } = this.#options;
    const task = await store.write((tx) => accepted(tx, nodeId, taskId));
    if (task?.cancel_requested) this.cancel(task.id);
  }

  async refused(leaseId: string, failure: Failure): Promise<void> {
    const lease = this.#answer(leaseId);
    if (!lease) return;
    const { store, queue, nodeId } = this.#options;
    if (failure.retryable) this.#rest();
    await store.write((tx) => refused(tx, queue, { nodeId, taskId: lease.taskId, leaseId }, failure));
  }

  #answer(leaseId: string): { readonly taskId: string } | undefined {
    const lease = this.#leases.get(leaseId);
    lease?.answered.abort();
    this.#leases.delete(leaseId);
    return lease;
  }

  #run(): void {
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    try {
      while (this.#room > 0 && (this.#claimed.length > 0 || this.#mayBeQueued) && !this.#isKeyReplaced()) {
        const [task] = this.#claimed;
        if (task) {
          await this.#send(task);
          this.#claimed.shift();
        } else {
          this.#mayBeQueued = false;
          await this.#options.store.write((tx) => this.claim(tx));
        }
      }
    } catch (error) {
      this.#options.onFailure(error);
    } finally {
      this.#working = false;
    }
  }

  /** How many tasks may be claimed or sent now. */
  get #room(): number {
    const { connection } = this.#options;
    const isShut = this.#resting || !connection.keepsUp || connection.gone.aborted;
    return isShut ? 0 : Math.min(this.#allowed - this.#sent, maxBatch);
  }

  /** True if the session is over for that: signed by a key it does not know, the node would refuse the task for good. */
  #isKeyReplaced(): boolean {
    const { keys, taskKid, onKeyReplaced } = this.#options;
    const isReplaced = keys.current.kid !== taskKid;
    if (isReplaced) onKeyReplaced();
    return isReplaced;
  }

  async #send(task: LeasedTask): Promise<void> {
    const { connection, keys, store, queue } = this.#options;
    const jws = await keys.sign(envelopeOf(task));
    // What is not sent goes back to the queue with the session.
    if (this.#isKeyReplaced()) return;
    if (jws.length > maxJws) {
      const failure = new AgentError('task.invalid', { reason: 'It is larger than a message may be.' }).toFailure();
      await store.write((tx) => queue.end(tx, task, 'rejected', failure));
      return;
    }
    const answered = new AbortController();
    this.#leases.set(task.lease.id, { taskId: task.id, answered });
    this.#sent += 1;
    connection.send({ type: 'task', lease_id: task.lease.id, jws });
    // Also one that was asked while the task was being signed: the node did not know what that was about.
    const asked = this.#cancelled.delete(task.id);
    if (asked || task.cancel_requested) this.cancel(task.id);
    void this.#expect(task, AbortSignal.any([answered.signal, connection.gone]));
  }

  /** Hands the task out again where nobody answers; where the session ends first, the next one does. */
  async #expect({ id, lease }: LeasedTask, answered: AbortSignal): Promise<void> {
    const { clock, leaseSeconds, store, log, onFailure } = this.#options;
    const late = await clock.pause(leaseSeconds * 1000, answered).then(
      () => true,
      () => false,
    );
    if (!late) return;
    this.#leases.delete(lease.id);
    log.warn({ task_id: id }, 'task was not answered in time, handing it out again');
    await store.write((tx) => lapse(tx, id, lease.id)).then(() => this.wake(), onFailure);
  }

  /** The node has no room now: sends nothing for a while, longer each time. */
  #rest(): void {
    if (this.#resting) return;
    this.#resting = true;
    this.#refusals += 1;
    const { clock, connection } = this.#options;
    void clock.pause(backoffDelay(refusalBackoff, this.#refusals), connection.gone).then(
      () => {
        this.#resting = false;
        this.wake();
      },
      () => undefined,
    );
  }
}

function envelopeOf(task: LeasedTask): Parameters<TaskKeys['sign']>[0] {
  const { id, type, schema_version, node_id, allocation_id, workload_id, attempt, fencing, deadline_seconds } = task;
  const { issued_at, not_after, trace_id, params } = task;
  return {
    ...{ task_id: id, type, schema_version, node_id, allocation_id, workload_id, attempt, fencing, deadline_seconds },
    ...{ issued_at, not_after, trace_id, params },
  };
}

/**
 * The queue of tasks, in the store. Each node works through its own; the drawing of the states is at the entity.
 *
 * A task is handed out as a lease and belongs to the node once the node has it on disk. Whatever happens in between, it
 * is handed out again, one attempt higher, until it was accepted, was refused for good, or its time is over: every task
 * ends exactly once, and `RecordSink.taskEnded` is told in the same transaction.
 */
import { AgentError, type Failure } from '../../contract/failures.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import { type TaskParams, type TaskType, taskSchemas } from '../../contract/tasks.ts';
import { type Clock, steadyTime, systemClock } from '../../kit/clock.ts';
import type { Task } from '../db/entities/task.ts';
import { newId } from '../db/new-id.ts';
import type { Tx } from '../db/store.ts';
import type { EndedTask, RecordSink } from './record-sink.ts';

/** A task as those who want it done describe it. */
export interface NewTask<T extends TaskType> {
  readonly node_id: string;
  readonly allocation_id: string;
  readonly type: T;
  readonly params: TaskParams<T>;
  readonly purpose: Task['purpose'];
  /** The app_instance_id; the node itself where it is about no workload. */
  readonly workload_id?: string;
  readonly instance_id?: string;
  readonly project_id?: string;
  /** Follows the request through all parts. */
  readonly trace_id: string;
  /** Time the node has for it, from receipt. */
  readonly deadline_seconds?: number;
  /** How long it may wait for its node before it ends as `task.expired`. */
  readonly valid_seconds?: number;
}

/** `cancelled` is the task that is to be given up, where that is the change. */
type WorkListener = (nodeId: string, cancelled?: string) => void;

/** Hands tasks of a node out in the transaction that queues one. */
type HandOut = (tx: Tx, nodeId: string) => Promise<void>;

/** How long a task waits for its node, where nobody says. */
export const validSeconds = 900;
const defaults = { deadline_seconds: 3600, valid_seconds: validSeconds } as const;

export class TaskQueue {
  readonly #sink: RecordSink;
  readonly #clock: Clock;
  readonly #steady: () => number;
  readonly #listeners = new Set<WorkListener>();
  #handOut: HandOut = () => Promise.resolve();
  readonly #ended: Record<TaskResult['status'], number> = { succeeded: 0, failed: 0, cancelled: 0, rejected: 0 };

  constructor(sink: RecordSink, clock: Clock = systemClock) {
    this.#sink = sink;
    this.#clock = clock;
    this.#steady = steadyTime(clock);
  }

  /**
   * Queues a task, with the next fencing number of its workload; it is sent once the transaction is committed. Handed out
   * within it where its node can take it, so that it waits for the disk once.
   */
  async enqueue<T extends TaskType>(tx: Tx, wanted: NewTask<T>): Promise<Task> {
    const now = this.#steady();
    const { node_id, allocation_id, type, params, purpose, trace_id, workload_id = node_id } = wanted;
    const { deadline_seconds = defaults.deadline_seconds, valid_seconds = defaults.valid_seconds } = wanted;
    const task: Task = {
      id: newId(now),
      ...{ node_id, allocation_id, workload_id, type, params, purpose, trace_id, deadline_seconds },
      project_id: wanted.project_id ?? null,
      instance_id: wanted.instance_id ?? null,
      schema_version: taskSchemas[type].version,
      attempt: 1,
      fencing: await nextFencing(tx, workload_id),
      issued_at: new Date(now).toISOString(),
      not_after: new Date(now + valid_seconds * 1000).toISOString(),
      state: 'queued',
      lease: null,
      cancel_requested: false,
      result: null,
      created_at: this.now(),
      ended_at: null,
    };
    await tx.tasks.insert(task);
    await this.#handOut(tx, node_id);
    return task;
  }

  /** Asks to give a task up. One that no node has seen ends at once; the others end when their node says so. */
  async cancel(tx: Tx, taskId: string): Promise<void> {
    const task = await tx.tasks.get(taskId);
    if (!task || task.state === 'ended' || task.cancel_requested) return;
    if (neverSent(task)) {
      await this.end(tx, task, 'cancelled', new AgentError('task.cancelled').toFailure());
      return;
    }
    await tx.tasks.put({ ...task, cancel_requested: true });
    this.wakeAfter(tx, task.node_id, task.id);
  }

  /** Ends a task without its node: `failure` says why. */
  async end(tx: Tx, task: Task, status: TaskResult['status'], failure: Failure): Promise<void> {
    const now = this.now();
    await this.finish(tx, task, {
      ...{ task_id: task.id, status, output: null, failure },
      ...{ started_at: now, finished_at: now },
    });
  }

  /** Ends a task with this result. One that has ended already keeps the result it has: repetitions change nothing. */
  async finish(tx: Tx, { id }: Pick<Task, 'id'>, result: TaskResult): Promise<void> {
    const task = await tx.tasks.get(id);
    if (!task || task.state === 'ended') return;
    const ended: EndedTask = { ...task, state: 'ended', lease: null, result, ended_at: this.now() };
    await tx.tasks.put(ended);
    await this.#sink.taskEnded(tx, ended);
    tx.afterCommit(() => {
      this.#ended[result.status] += 1;
    });
  }

  /** Ends what waited too long for its node. What a node may have already is left to the node, which judges the same time. */
  async expire(tx: Tx): Promise<void> {
    const now = this.serverTime();
    for (const task of await tx.tasks.list({ where: { state: 'queued' } })) {
      if (neverSent(task) && task.not_after <= now) {
        await this.end(tx, task, 'rejected', new AgentError('task.expired').toFailure());
      }
    }
  }

  /** Ends everything that a node will never do. */
  async abandon(tx: Tx, nodeId: string, failure: Failure): Promise<void> {
    const open = await tx.tasks.list({ where: { node_id: nodeId, state: ['queued', 'leased', 'accepted'] } });
    for (const task of open) await this.end(tx, task, 'failed', failure);
  }

  /** How many tasks ended in which way since this was made. */
  ended(): Readonly<Record<TaskResult['status'], number>> {
    return { ...this.#ended };
  }

  /** Who hands tasks out as they are queued. */
  handOutBy(handOut: HandOut): void {
    this.#handOut = handOut;
  }

  /** Calls back after a change of what a node has to do is on disk, but for tasks that were queued. Returns the way out. */
  onWork(listener: WorkListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  wakeAfter(tx: Tx, nodeId: string, cancelled?: string): void {
    tx.afterCommit(() => {
      for (const listener of this.#listeners) listener(nodeId, cancelled);
    });
  }

  /**
   * What `not_after` is judged by, here and by the nodes, which are told it. It does not follow a clock that is set, so that
   * nothing expires by that (FAULTS 20).
   */
  serverTime(): string {
    return new Date(this.#steady()).toISOString();
  }

  now(): string {
    return new Date(this.#clock.wallMs()).toISOString();
  }
}

/** True while no node can know of it. */
export function neverSent({ state, attempt }: Task): boolean {
  return state === 'queued' && attempt === 1;
}

async function nextFencing(tx: Tx, workloadId: string): Promise<number> {
  const last = await tx.workload_fencing.get(workloadId);
  const fencing = (last?.fencing ?? 0) + 1;
  if (last) await tx.workload_fencing.put({ ...last, fencing });
  else await tx.workload_fencing.insert({ id: workloadId, fencing });
  return fencing;
}

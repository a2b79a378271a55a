/**
 * One session of a node that was let in.
 *
 *   welcomed ── confirm ──▶ confirmed: tasks, records, logs ──▶ closed
 */
import type { FromAgent, RecordMessage, Welcome } from '../../contract/session-messages.ts';
import type { closeCodes } from '../../contract/signing.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Log } from '../../kit/log.ts';
import type { Store, Tx } from '../db/store.ts';
import type { TaskKeys } from '../keys/task-keys.ts';
import { confirm } from './admission.ts';
import type { Connection } from './connection.ts';
import type { LogRelay } from './log-relay.ts';
import { RecordInlet } from './record-inlet.ts';
import { keepBatch } from './record-keeper.ts';
import type { RecordSink } from './record-sink.ts';
import type { ReportBudget } from './report-budget.ts';
import { TaskOutlet } from './task-outlet.ts';
import type { TaskQueue } from './task-queue.ts';

/** What every session works with. */
export interface SessionParts {
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly keys: TaskKeys;
  readonly sink: RecordSink;
  readonly relay: LogRelay;
  readonly budget: ReportBudget;
  readonly clock: Clock;
  readonly log: Log;
  readonly leaseSeconds: number;
  /** So many records were kept. */
  onKept(count: number): void;
}

type Offered = Pick<Welcome, 'epoch' | 'task_keys'>;

export class NodeSession {
  readonly nodeId: string;
  readonly epoch: number;
  readonly connection: Connection;
  readonly #parts: SessionParts;
  /** Task key that the node believes since its welcome. */
  readonly taskKid: string;
  readonly #records: RecordInlet;
  readonly #tasks: TaskOutlet;
  #confirmed = false;
  /** Messages that came while the epoch was being kept; undefined before and not used after. */
  #early: FromAgent[] | undefined;

  constructor(parts: SessionParts, connection: Connection, nodeId: string, welcome: Offered) {
    const { epoch, task_keys } = welcome;
    this.nodeId = nodeId;
    this.epoch = epoch;
    this.taskKid = task_keys.at(-1)?.kid ?? '';
    this.connection = connection;
    this.#parts = parts;
    const onFailure = (error: unknown) => this.#giveUp(error);
    this.#records = new RecordInlet({
      keep: (batch) => this.#keep(batch),
      pause: () => connection.pause(),
      resume: () => connection.resume(),
      onFailure,
    });
    this.#tasks = new TaskOutlet({
      ...{ ...parts, nodeId, epoch, taskKid: this.taskKid, connection, onFailure },
      onKeyReplaced: () => this.comeBack(0),
    });
    connection.gone.addEventListener('abort', () => this.#records.close(), { once: true });
  }

  /** True once the node has the epoch on disk. */
  get confirmed(): boolean {
    return this.#confirmed;
  }

  /** There is something to do for the node: a task to take, or `cancelled` to give up. */
  wake(cancelled?: string): void {
    if (!this.#confirmed) return;
    if (cancelled === undefined) this.#tasks.wake();
    else this.#tasks.cancel(cancelled);
  }

  /** Takes what the node can take out of the queue, in a transaction that queues something. */
  async handOut(tx: Tx): Promise<void> {
    if (this.#confirmed) await this.#tasks.claim(tx);
  }

  /** Ends it. Nothing that arrives afterwards counts. */
  end(why: keyof typeof closeCodes, reason?: string): void {
    this.#records.close();
    this.connection.close(why, reason);
  }

  /** Ends it, and asks the node to come back after so many seconds: its next welcome has what changed. */
  comeBack(seconds: number): void {
    this.connection.send({ type: 'retry_after', seconds });
    this.end('goingAway');
  }

  onMessage(message: FromAgent): void {
    if (this.#confirmed) this.#act(message);
    else if (this.#early) this.#early.push(message);
    else if (message.type === 'confirm' && message.epoch === this.epoch) void this.#confirm();
    else this.connection.fault(`${message.type} before the epoch was confirmed`);
  }

  /** What comes behind the confirmation waits until that is on disk; nothing more is read meanwhile. */
  async #confirm(): Promise<void> {
    this.#early = [];
    this.connection.pause();
    const { store, sink, relay } = this.#parts;
    try {
      const node = await store.write(async (tx) => {
        const confirmed = await confirm(tx, this.nodeId, this.epoch, this.taskKid);
        if (confirmed) await sink.nodeBack(tx, confirmed);
        return confirmed;
      });
      if (!node) {
        this.end('superseded');
        return;
      }
      this.#confirmed = true;
      relay.attach(this);
      // Before they are acted upon: what the records among them hold back must stay held back.
      this.connection.resume();
      for (const message of this.#early) this.#act(message);
      await this.#tasks.begin();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #act(message: FromAgent): void {
    switch (message.type) {
      case 'heartbeat':
        break;
      case 'hello':
      case 'confirm':
        this.connection.fault(`a second ${message.type}`);
        break;
      case 'pull':
        this.#tasks.pull(message.credits, message.received);
        break;
      case 'task_accepted':
        this.#run(this.#tasks.accepted(message.lease_id, message.task_id));
        break;
      case 'task_refused':
        this.#run(this.#tasks.refused(message.lease_id, message.failure));
        break;
      case 'record':
        this.#records.add(message);
        break;
      default:
        this.#parts.relay.receive(this, message);
    }
  }

  async #keep(batch: readonly [RecordMessage, ...RecordMessage[]]): Promise<void> {
    const { journal_id, seq, kept } = await keepBatch(this.#parts, this.nodeId, batch);
    this.#parts.onKept(kept);
    this.connection.send({ type: 'ack', journal_id, seq });
  }

  #run(work: Promise<void>): void {
    work.catch((error) => this.#giveUp(error));
  }

  /** What we could not keep we must not answer: the node comes back and says it again. */
  #giveUp(err: unknown): void {
    if (this.connection.gone.aborted) return;
    this.#parts.log.error({ err, node: this.nodeId }, 'session given up');
    this.end('goingAway', 'internal error');
  }
}

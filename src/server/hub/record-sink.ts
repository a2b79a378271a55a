/** What the rest of the control plane makes of what nodes report. The hub calls it; it never calls the hub. */
import type { RecordBody, RecordKind } from '../../contract/records.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import type { Node } from '../db/entities/node.ts';
import type { Task } from '../db/entities/task.ts';
import type { Tx } from '../db/store.ts';

/** A record whose body its schema accepted. Results of tasks come as `taskEnded`. */
export type NodeRecord = {
  [K in Exclude<RecordKind, 'task.result'>]: {
    readonly kind: K;
    readonly body: RecordBody<K>;
    /** When the node wrote it down, in our time as far as the node is right about it. */
    readonly at: string;
  };
}[Exclude<RecordKind, 'task.result'>];

/** A task that is over, however that came about. */
export type EndedTask = Task & { readonly state: 'ended'; readonly result: TaskResult };

/**
 * Every call happens inside the transaction that keeps the record, so it is made exactly once per record that is kept.
 * What it throws undoes the transaction, and the node sends the record again: throw for a broken store, never for a
 * record that makes no sense.
 */
export interface RecordSink {
  /** Once per task: with the result of the node, or with one of ours if it was cancelled, refused or expired before. */
  taskEnded(tx: Tx, task: EndedTask): Promise<void>;
  recorded(tx: Tx, node: Node, record: NodeRecord): Promise<void>;
  /** The node did not come back in time: what it runs is unknown. Called again after each start of the control plane. */
  nodeAway(tx: Tx, node: Node): Promise<void>;
  /** The node has a session again; what it runs follows as records. */
  nodeBack(tx: Tx, node: Node): Promise<void>;
}

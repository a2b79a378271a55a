/**
 * Keeps what a node reports, once each, in the order it was written down.
 *
 * How far the records of a node are kept is part of the same transaction as what they change, so a repetition is known
 * as one whatever was lost in between. A record that makes no sense is dropped with an event, and one that is more than its
 * node may have kept is only counted (report-budget.ts): kept back it would block all behind it for ever.
 */
import { AgentError } from '../../contract/failures.ts';
import { type RecordBody, type RecordKind, recordBodies } from '../../contract/records.ts';
import type { RecordMessage } from '../../contract/session-messages.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import { isTaskType, type TaskType, taskSchemas } from '../../contract/tasks.ts';
import { judgeKnown } from '../../contract/validate.ts';
import type { Node, RecordCursor } from '../db/entities/node.ts';
import { Misshapen, type Store, type Tx } from '../db/store.ts';
import { handOutAgain } from './leases.ts';
import type { NodeRecord, RecordSink } from './record-sink.ts';
import { type Allowance, budgeted, type ReportBudget } from './report-budget.ts';
import type { TaskQueue } from './task-queue.ts';

export interface RecordKeeper {
  readonly queue: TaskQueue;
  readonly sink: RecordSink;
  readonly budget: ReportBudget;
}

/** How far a journal is kept, and how many records of a batch were new and were not dropped as too many. */
type KeptBatch = Pick<RecordCursor, 'journal_id' | 'seq'> & { readonly kept: number };

type Batch = readonly [RecordMessage, ...RecordMessage[]];

/**
 * Keeps what is new of a batch, in one transaction. The batch is of one journal.
 *
 * A record can be as it should be and yet make something too large of what is kept already. The store refuses that
 * transaction whole, so its records are kept one by one, and the one it is about is dropped.
 */
export async function keepBatch(
  parts: RecordKeeper & { readonly store: Store },
  nodeId: string,
  batch: Batch,
): Promise<KeptBatch> {
  const whole = await unlessMisshapen(parts.store.write((tx) => keepRecords(tx, parts, nodeId, batch, keepRecord)));
  if (!(whole instanceof Misshapen)) return whole;
  const [first, ...others] = batch;
  let last = await keepAlone(parts, nodeId, first);
  let { kept } = last;
  for (const record of others) {
    last = await keepAlone(parts, nodeId, record);
    kept += last.kept;
  }
  return { ...last, kept };
}

async function keepAlone(
  parts: RecordKeeper & { readonly store: Store },
  nodeId: string,
  record: RecordMessage,
): Promise<KeptBatch> {
  const { store } = parts;
  const kept = await unlessMisshapen(store.write((tx) => keepRecords(tx, parts, nodeId, [record], keepRecord)));
  if (!(kept instanceof Misshapen)) return kept;
  const faults = [kept.message.slice(0, 500)];
  const drop: KeepOne = (tx, keeper, node, _, allowance) =>
    reportUnreadable(tx, keeper, node, record, faults, allowance);
  return await store.write((tx) => keepRecords(tx, parts, nodeId, [record], drop));
}

async function unlessMisshapen<T>(work: Promise<T>): Promise<T | Misshapen> {
  return await work.catch((error: unknown) => {
    if (error instanceof Misshapen) return error;
    throw error;
  });
}

type KeepOne = (tx: Tx, keeper: RecordKeeper, node: Node, record: RecordMessage, allowance: Allowance) => Promise<void>;

async function keepRecords(
  tx: Tx,
  keeper: RecordKeeper,
  nodeId: string,
  batch: Batch,
  keep: KeepOne,
): Promise<KeptBatch> {
  const [{ journal_id }] = batch;
  const known = await tx.record_cursors.get(nodeId);
  if (known && known.journal_id !== journal_id) await handOutAgain(tx, keeper.queue, nodeId);

  let seq = known?.journal_id === journal_id ? known.seq : -1;
  let kept = 0;
  const allowance = keeper.budget.allowance(nodeId);
  for (const record of batch) {
    if (record.seq <= seq) continue;
    seq = record.seq;
    if (budgeted.has(record.kind) && !allowance.take(record)) continue;
    const node = await tx.nodes.get(nodeId);
    if (node) await keep(tx, keeper, node, record, allowance);
    kept += 1;
  }
  tx.afterCommit(() => keeper.budget.settle(nodeId, allowance));
  const cursor: RecordCursor = { id: nodeId, journal_id, seq: Math.max(seq, 0), updated_at: keeper.queue.now() };
  await (known ? tx.record_cursors.put(cursor) : tx.record_cursors.insert(cursor));
  return { journal_id, seq: cursor.seq, kept };
}

async function keepRecord(
  tx: Tx,
  keeper: RecordKeeper,
  node: Node,
  record: RecordMessage,
  allowance: Allowance,
): Promise<void> {
  const judged = judgeKnown(recordBodies[record.kind], record.body);
  if (!judged.ok) {
    const faults = judged.errors.map(({ path, message }) => `${path} ${message}`).slice(0, 5);
    await reportUnreadable(tx, keeper, node, record, faults, allowance);
    return;
  }
  if (record.kind === 'task.result') {
    const { result } = judged.value as RecordBody<'task.result'>;
    await keepResult(tx, keeper, node, inOurTime(result, record.at));
    return;
  }
  // The kind and the schema of the body come from one line of one table.
  const report = { kind: record.kind, body: judged.value, at: record.at } as NodeRecord;
  const updated = refreshed(node, report);
  if (updated !== node) await tx.nodes.put(updated);
  const counts = report.kind !== 'topology' || allowance.takeTopology(changesBy(node.topology, report.body));
  if (counts) await keeper.sink.recorded(tx, updated, report);
}

/** How many workloads are not what they were. */
function changesBy(before: Node['topology'], { workloads }: RecordBody<'topology'>): number {
  const statesOf = (facts: typeof workloads) => new Map(facts.map(({ workload_id, state }) => [workload_id, state]));
  const [old, now] = [statesOf(before?.workloads ?? []), statesOf(workloads)];
  return [...new Set([...old.keys(), ...now.keys()])].filter((id) => old.get(id) !== now.get(id)).length;
}

/** Of a node whose topology was held back, what it said last counts now. The first time that is told as well. */
export async function catchUp(
  { store, queue, sink, budget }: RecordKeeper & { readonly store: Store },
  { id, held, told }: ReturnType<ReportBudget['held']>[number],
): Promise<void> {
  await store.write(async (tx) => {
    const node = await tx.nodes.get(id);
    if (node?.topology) await sink.recorded(tx, node, { kind: 'topology', body: node.topology, at: queue.now() });
    if (!told) {
      await tx.events.append({
        ...{ time: queue.now(), type: 'node.changes_held', project_id: null, actor: 'system', correlation_id: null },
        subject: { kind: 'node', id },
        message: 'What the node says of its workloads changes more often than is kept. Once a minute it counts.',
        data: {},
      });
    }
    tx.afterCommit(() => budget.caughtUp(id, held));
  });
}

/** What is remembered of the node itself. */
function refreshed(node: Node, { kind, body, at }: NodeRecord): Node {
  switch (kind) {
    case 'inventory':
      return {
        ...{ ...node, inventory: body, agent_version: body.agent_version, runtime: body.runtime },
        ...offsetOf(body.at, at),
      };
    case 'topology':
      return { ...node, topology: body };
    default:
      return node;
  }
}

/** The host wrote down the one by its clock, and the other by ours. */
function offsetOf(theirs: string, ours: string): Pick<Node, 'clock_offset_seconds'> {
  const seconds = Math.round((Date.parse(theirs) - Date.parse(ours)) / 1000);
  return Number.isNaN(seconds) ? {} : { clock_offset_seconds: seconds };
}

/** Results count for tasks of this very node only. One that its schema refuses ends the task all the same. */
async function keepResult(tx: Tx, { queue }: RecordKeeper, node: Node, result: TaskResult): Promise<void> {
  const task = await tx.tasks.get(result.task_id);
  if (!task || task.node_id !== node.id || task.state === 'ended') return;
  const output = isTaskType(task.type) ? outputOf(task.type, result) : undefined;
  if (output === undefined) {
    await queue.finish(
      tx,
      task,
      unreadable(result.task_id, queue, 'The output of the task does not match its schema.'),
    );
    return;
  }
  if (task.type === 'workload.oci_runtime_status' && result.status === 'succeeded' && output !== null) {
    const runtime = output as NonNullable<Node['runtime']>;
    await tx.nodes.put({ ...node, runtime, runtime_at: queue.now() });
  }
  await queue.finish(tx, task, { ...result, output });
}

/** As its schema has it; undefined where that refuses it. */
function outputOf(type: TaskType, { output }: TaskResult): TaskResult['output'] | undefined {
  if (output === null) return null;
  const judged = judgeKnown(taskSchemas[type].output, output);
  return judged.ok ? (judged.value as TaskResult['output']) : undefined;
}

/** Its times are by the clock of the host, which may be wrong; `at` is when its end was written down, in our time. */
function inOurTime(result: TaskResult, at: string): TaskResult {
  const ahead = Date.parse(result.finished_at) - Date.parse(at);
  const moved = (time: string) => new Date(Date.parse(time) - ahead).toISOString();
  return Number.isNaN(ahead) || Number.isNaN(Date.parse(result.started_at))
    ? result
    : { ...result, started_at: moved(result.started_at), finished_at: moved(result.finished_at) };
}

/** What tells of it is an event like any other, so that records without sense are no flood either. */
async function reportUnreadable(
  tx: Tx,
  { queue }: RecordKeeper,
  node: Node,
  record: RecordMessage,
  faults: readonly string[],
  allowance: Allowance,
): Promise<void> {
  const { kind, seq, body } = record;
  if (budgeted.has(kind) || allowance.take(record)) {
    await tx.events.append({
      time: queue.now(),
      type: 'node.record_dropped',
      project_id: null,
      subject: { kind: 'node', id: node.id },
      actor: `node:${node.id}`,
      correlation_id: null,
      message: `The node reported a ${kind satisfies RecordKind} that does not match its schema. It was dropped.`,
      data: { kind, seq, faults: [...faults] },
    });
  }
  const taskId = kind === 'task.result' ? taskNamedIn(body) : undefined;
  const task = taskId === undefined ? undefined : await tx.tasks.get(taskId);
  if (task?.node_id === node.id) {
    await queue.finish(tx, task, unreadable(task.id, queue, 'The result of the task does not match its schema.'));
  }
}

function unreadable(task_id: string, queue: TaskQueue, reason: string): TaskResult {
  const now = queue.now();
  const failure = new AgentError('internal', { reason }).toFailure();
  return { task_id, status: 'failed', output: null, failure, started_at: now, finished_at: now };
}

function taskNamedIn(body: unknown): string | undefined {
  const id = (body as { result?: { task_id?: unknown } } | null)?.result?.task_id;
  return typeof id === 'string' ? id : undefined;
}

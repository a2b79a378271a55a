/** Tasks in the journal: what was asked, how far it is, how it ended, and which fencing numbers were seen. */
import { createHash } from 'node:crypto';
import { AgentError, type Failure } from '../../contract/failures.ts';
import type { TaskEnvelope, TaskResult } from '../../contract/task-envelope.ts';
import type { WorkloadState } from '../../contract/workload-state.ts';
import type { Database } from './database.ts';
import type { Circumstances, KeptTask } from './journal.ts';

interface TaskRow {
  readonly number: number;
  readonly asks_for: string;
  readonly envelope: string;
  readonly accepted_at: string;
  readonly cancelled: number;
  readonly result: string | null;
  readonly result_seq: number | null;
}

const columns = 'number, asks_for, envelope, accepted_at, cancelled, result, result_seq';

export class TaskTable {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Undefined if the task was never seen; `task.invalid` if its id was given to another one. */
  known(envelope: TaskEnvelope): { readonly task: KeptTask; readonly result_seq: number | null } | undefined {
    const row = this.#row(envelope.task_id);
    if (row && row.asks_for !== asksFor(envelope)) {
      const error = { path: '/task_id', code: 'taken', message: 'is the id of another task' };
      throw new AgentError('task.invalid', { reason: 'Its id is that of another task.', errors: [error] });
    }
    return row && { task: this.#kept(row), result_seq: row.result_seq };
  }

  insert(envelope: TaskEnvelope, at: string): void {
    this.#database.run(
      'INSERT INTO tasks (task_id, workload_id, asks_for, envelope, not_after, accepted_at) VALUES (?, ?, ?, ?, ?, ?)',
      ...[envelope.task_id, envelope.workload_id, asksFor(envelope), JSON.stringify(envelope)],
      // Not a time: it is rejected, and may be forgotten at any time.
      ...[Date.parse(envelope.not_after) || 0, at],
    );
  }

  /** Why a task that was not seen before must not begin; undefined if it may. */
  refusalOf({ task_id, workload_id, fencing, not_after }: TaskEnvelope, { now, fenced }: Circumstances) {
    // A date that is none is NaN: nothing is before it, so the task is refused.
    if (!(now <= Date.parse(not_after))) {
      return new AgentError('task.expired', { not_after }).toFailure();
    }
    const seen = this.#fencing(workload_id);
    return fenced && seen && isStale(fencing, task_id, seen) ? staleFailure(fencing, seen.highest) : undefined;
  }

  fencing(workloadId: string): number {
    return this.#fencing(workloadId)?.highest ?? 0;
  }

  raiseFencing(workloadId: string, fencing: number, taskId: string): void {
    this.#database.run(
      `INSERT INTO fencing (workload_id, highest, task_id) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET highest = excluded.highest, task_id = excluded.task_id WHERE excluded.highest > highest`,
      ...[workloadId, fencing, taskId],
    );
  }

  enter(taskId: string, phase: WorkloadState, at: string): void {
    this.#database.run(
      'INSERT INTO phases (number, phase, at) SELECT number, ?, ? FROM tasks WHERE task_id = ?',
      ...[phase, at, taskId],
    );
  }

  cancel(taskId: string): boolean {
    return this.#database.run('UPDATE tasks SET cancelled = 1 WHERE task_id = ? AND result IS NULL', taskId) > 0;
  }

  end(result: TaskResult, seq: number): void {
    this.#database.run(
      'UPDATE tasks SET result = ?, result_seq = ? WHERE task_id = ?',
      ...[JSON.stringify(result), seq, result.task_id],
    );
  }

  task(taskId: string): KeptTask | undefined {
    const row = this.#row(taskId);
    return row && this.#kept(row);
  }

  unfinished(): KeptTask[] {
    return this.#database
      .all<TaskRow>(`SELECT ${columns} FROM tasks WHERE result IS NULL ORDER BY number`)
      .map((row) => this.#kept(row));
  }

  newest(workloadId: string | undefined, limit: number): KeptTask[] {
    const where = workloadId === undefined ? '' : 'WHERE workload_id = ?';
    return this.#database
      .all<TaskRow>(
        `SELECT ${columns} FROM tasks ${where} ORDER BY number DESC LIMIT ?`,
        ...(workloadId === undefined ? [limit] : [workloadId, limit]),
      )
      .map((row) => this.#kept(row));
  }

  /** A task whose result is still to be sent, or that may still be delivered again, is never forgotten. */
  prune(now: number, keep: number): void {
    const forgettable = `
      SELECT number FROM tasks
      WHERE result IS NOT NULL AND not_after < ? AND result_seq NOT IN (SELECT seq FROM outbox)
        AND number NOT IN (SELECT number FROM tasks WHERE result IS NOT NULL ORDER BY number DESC LIMIT ?)`;
    this.#database.run(`DELETE FROM phases WHERE number IN (${forgettable})`, now, keep);
    this.#database.run(`DELETE FROM tasks WHERE number IN (${forgettable})`, now, keep);
  }

  #fencing(workloadId: string): Seen | undefined {
    return this.#database.get<Seen>('SELECT highest, task_id FROM fencing WHERE workload_id = ?', workloadId);
  }

  #row(taskId: string): TaskRow | undefined {
    return this.#database.get<TaskRow>(`SELECT ${columns} FROM tasks WHERE task_id = ?`, taskId);
  }

  #kept({ number, envelope, accepted_at, cancelled, result }: TaskRow): KeptTask {
    return {
      envelope: JSON.parse(envelope) as TaskEnvelope,
      ...{ accepted_at, cancelled: cancelled !== 0 },
      phases: this.#database.all('SELECT phase, at FROM phases WHERE number = ? ORDER BY rowid', number),
      result: result === null ? null : (JSON.parse(result) as TaskResult),
    };
  }
}

interface Seen {
  readonly highest: number;
  readonly task_id: string;
}

/** The very task that the number is from may come again: a seal knows it where the journal was lost. */
function isStale(fencing: number, taskId: string, { highest, task_id }: Seen): boolean {
  return fencing < highest || (fencing === highest && taskId !== task_id);
}

function staleFailure(fencing: number, seen: number): Failure {
  return new AgentError('task.stale', {
    reason: `Fencing ${fencing} is not above ${seen}.`,
    fencing,
    seen,
  }).toFailure();
}

/** A delivery may be the second attempt, and be valid for longer; what it asks for is the same. */
function asksFor({ attempt: _, issued_at: __, not_after: ___, ...same }: TaskEnvelope): string {
  return createHash('sha256').update(canonical(same)).digest('base64url');
}

/** One text per value, whatever the order of its keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/**
 * The journal on SQLite. A commit is on the disk when it returns (write-ahead log, synchronous in full); a full disk is
 * met with a reserve that only results and the like may use; a file that cannot be read is set aside and begun anew.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { type RecordBody, type RecordKind, thinnable } from '../../contract/records.ts';
import type { TaskEnvelope, TaskResult } from '../../contract/task-envelope.ts';
import type { WorkloadState } from '../../contract/workload-state.ts';
import type { JobRecords } from '../../jobs/job-record.ts';
import type { Lease } from '../../tasks/lease-choice.ts';
import { type Database, isDiskFull, type OpenedDatabase, openDatabase } from './database.ts';
import { JobTable } from './job-table.ts';
import type {
  Acceptance,
  Circumstances,
  Journal,
  KeptTask,
  KeptWorkload,
  MakeReceipt,
  OutboxDepth,
  Rebuilt,
  WorkloadChange,
} from './journal.ts';
import { LeaseTable } from './lease-table.ts';
import { Outbox, type OutboxLimits } from './outbox.ts';
import { ReceiptTable } from './receipt-table.ts';
import { Reserve } from './reserve.ts';
import { journalSchema } from './schema.ts';
import { TaskTable } from './task-table.ts';
import { WorkloadTable } from './workload-table.ts';

export interface JournalOptions {
  readonly stateDir: string;
  /** Milliseconds since 1970, for the times that are noted. */
  readonly now?: () => number;
  readonly limits?: Partial<JournalLimits>;
  readonly reserveBytes?: number;
}

export interface JournalLimits extends OutboxLimits {
  /** Ended tasks that are kept for reading. */
  readonly keptTasks: number;
}

const usualLimits: JournalLimits = { maxRecords: 2000, maxBytes: 16 * 2 ** 20, keptEvents: 2000, keptTasks: 500 };
const usualReserve = 4 * 2 ** 20;

/** Opens `agent.db` in the state directory, making it where there is none. `agent.busy` if another process has it. */
export function openJournal({
  stateDir,
  now = Date.now,
  limits,
  reserveBytes = usualReserve,
}: JournalOptions): Journal {
  const opened = openDatabase(join(stateDir, 'agent.db'), journalSchema);
  const reserve = new Reserve(join(stateDir, 'agent.db.reserve'), reserveBytes);
  return new SqliteJournal(opened, reserve, { ...usualLimits, ...limits }, () => new Date(now()).toISOString());
}

class SqliteJournal implements Journal {
  readonly rebuilt: Rebuilt | undefined;
  readonly #database: Database;
  readonly #reserve: Reserve;
  readonly #time: () => string;
  readonly #tasks: TaskTable;
  readonly #workloads: WorkloadTable;
  readonly #leases: LeaseTable;
  readonly jobs: JobRecords;
  readonly #receipts: ReceiptTable;
  readonly #outbox: Outbox;
  readonly #keptTasks: number;
  readonly #listeners = new Set<(how: { readonly canWait: boolean }) => void>();
  #id: string;
  /** Newest record that the control plane can have had. */
  #handedOut: number;

  constructor({ database, rebuilt }: OpenedDatabase, reserve: Reserve, limits: JournalLimits, time: () => string) {
    this.rebuilt = rebuilt;
    this.#database = database;
    this.#reserve = reserve;
    this.#time = time;
    this.#tasks = new TaskTable(database);
    this.#workloads = new WorkloadTable(database);
    this.#leases = new LeaseTable(database);
    const jobs = new JobTable(database);
    this.jobs = this.#writing(jobs);
    this.#receipts = new ReceiptTable(database);
    this.#outbox = new Outbox(database, limits, (job) => jobs.report(job));
    this.#keptTasks = limits.keptTasks;
    this.#id = this.#ensureId();
    this.#handedOut = this.#ensureMark();
    if (rebuilt) {
      const { reason, setAside } = rebuilt;
      this.#report('journal.rebuilt', 'The journal could not be read and was begun anew.', { reason, path: setAside });
    }
  }

  get id(): string {
    return this.#id;
  }

  accept(envelope: TaskEnvelope, circumstances: Circumstances): Acceptance {
    const known = this.#tasks.known(envelope);
    if (known) {
      return known.task.result === null ? { kind: 'at_work', task: known.task } : this.#again(known);
    }
    if (!this.#reserve.restore()) {
      throw new AgentError('disk.full', { reason: 'The journal has no room for another task.' });
    }
    try {
      return this.#write(() => this.#insert(envelope, circumstances));
    } catch (error) {
      throw isDiskFull(error)
        ? new AgentError('disk.full', { reason: 'The journal has no room for another task.' }, { cause: error })
        : error;
    }
  }

  enter(taskId: string, phase: WorkloadState, progress?: RecordBody<'task.progress'>): void {
    const work = () => {
      this.#tasks.enter(taskId, phase, this.#time());
      if (progress) {
        this.#outbox.append('task.progress', progress, this.#time());
      }
    };
    this.#writeAtAllCosts(work, { hasty: true });
  }

  cancel(taskId: string): KeptTask | undefined {
    return this.#writeAtAllCosts(() => this.#tasks.cancel(taskId)) ? this.#tasks.task(taskId) : undefined;
  }

  finish(result: TaskResult, change?: WorkloadChange): void {
    const task = this.#tasks.task(result.task_id);
    if (task && task.result === null) {
      this.#writeAtAllCosts(() => {
        this.#end(task.envelope, result);
        if (change) {
          this.#workloads.set(change.workload_id, change.keep);
        }
      });
    }
  }

  task(taskId: string): KeptTask | undefined {
    return this.#tasks.task(taskId);
  }

  unfinished(): KeptTask[] {
    return this.#tasks.unfinished();
  }

  tasks({ workload_id, limit }: { workload_id?: string; limit: number }): KeptTask[] {
    return this.#tasks.newest(workload_id, limit);
  }

  fencing(workloadId: string): number {
    return this.#tasks.fencing(workloadId);
  }

  raiseFencing(workloadId: string, fencing: number, taskId: string): void {
    this.#writeAtAllCosts(() => this.#tasks.raiseFencing(workloadId, fencing, taskId));
  }

  workloads(): KeptWorkload[] {
    return this.#workloads.all();
  }

  workload(workloadId: string): KeptWorkload | undefined {
    return this.#workloads.get(workloadId);
  }

  keepWorkload(workload: KeptWorkload, event?: RecordBody<'event'>): void {
    this.#writeAtAllCosts(() => {
      this.#workloads.set(workload.workload_id, workload);
      if (event) {
        this.#outbox.append('event', event, this.#time());
      }
    });
  }

  forgetWorkload(workloadId: string): void {
    this.#writeAtAllCosts(() => this.#workloads.set(workloadId, null));
  }

  leases(): Lease[] {
    return this.#leases.all();
  }

  keepLeases(instance: string, leases: readonly Lease[]): void {
    this.#writeAtAllCosts(() => this.#leases.replace(instance, leases));
  }

  #writing(jobs: JobTable): JobRecords {
    return {
      all: () => jobs.all(),
      get: (job) => jobs.get(job),
      outline: (job) => jobs.outline(job),
      resultsOf: (job) => jobs.resultsOf(job),
      begin: (job) => this.#writeAtAllCosts(() => jobs.begin(job)),
      put: (job, record, before) =>
        this.#writeAtAllCosts(() => {
          jobs.put(job, record, before);
          this.#outbox.tellOf(job, this.#time());
        }),
      remove: (job) =>
        this.#writeAtAllCosts(() => {
          jobs.remove(job);
          this.#outbox.tellNothingOf(job);
        }),
    };
  }

  addReceipt(taskId: string, make: MakeReceipt): string {
    return this.#receipts.get(taskId) ?? this.#writeAtAllCosts(() => this.#receipts.add(taskId, make));
  }

  append<K extends RecordKind>(kind: K, body: RecordBody<K>): void {
    const work = () => this.#outbox.append(kind, body, this.#time());
    if (!thinnable.has(kind)) {
      this.#writeAtAllCosts(work);
      return;
    }
    try {
      this.#write(work, { hasty: true });
    } catch (error) {
      if (!isDiskFull(error)) {
        throw error;
      }
      this.#outbox.thinned += 1;
    }
  }

  waiting(after: number, limit: number) {
    const records = this.#outbox.waiting(after, limit);
    this.#handedOut = Math.max(this.#handedOut, records.at(-1)?.seq ?? 0);
    return records;
  }

  acknowledge(seq: number): void {
    // A lost one only repeats records.
    this.#writeAtAllCosts(() => this.#outbox.acknowledge(seq), { hasty: true });
  }

  resume(acked: { readonly journal_id: string; readonly seq: number } | null): void {
    const last = this.#handedOut;
    this.#writeAtAllCosts(() => {
      if (acked?.journal_id === this.#id) {
        this.#outbox.acknowledge(Math.min(acked.seq, last));
      }
      this.#database.run("DELETE FROM meta WHERE key = 'mark'");
    });
    if (acked?.journal_id !== this.#id) {
      // The control plane learns from a record only that this is another journal, and hands out again what it had accepted.
      if (acked && this.#outbox.depth().records === 0) {
        this.#report('journal.begun', 'The journal that the control plane knew is gone; a new one was begun.', {});
      }
      return;
    }
    if (acked.seq <= last) {
      return;
    }
    // Numbers that are known over there have been, or would be, given out again: what has them would be taken for a repetition.
    this.#id = this.#writeAtAllCosts(() => this.#renewId());
    const reason = `It ended at record ${last}; the control plane has had ${acked.seq}.`;
    this.#report('journal.truncated', 'The end of the journal was lost; it goes on under another name.', { reason });
  }

  onAppend(listener: (how: { readonly canWait: boolean }) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  depth(): OutboxDepth {
    return { ...this.#outbox.depth(), thinned: this.#outbox.thinned, full: !this.#reserve.held };
  }

  fault(): string | null {
    return this.#database.fault();
  }

  events({ workload_id, limit }: { workload_id?: string; limit: number }) {
    return this.#outbox.events(workload_id, limit);
  }

  prune(now: number): void {
    this.#writeAtAllCosts(() => this.#tasks.prune(now, this.#keptTasks));
  }

  pulse(): void {
    const [sql, at] = [
      "INSERT INTO meta (key, value) VALUES ('pulse', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      this.#time(),
    ];
    try {
      this.#database.transaction(() => this.#database.run(sql, at), { hasty: true });
    } catch (error) {
      if (!isDiskFull(error)) {
        throw error;
      }
    }
  }

  close(): void {
    this.#listeners.clear();
    this.#database.close();
  }

  #insert(envelope: TaskEnvelope, circumstances: Circumstances): Acceptance {
    const failure = this.#tasks.refusalOf(envelope, circumstances);
    const at = this.#time();
    this.#tasks.insert(envelope, at);
    if (failure) {
      const nothing = { status: 'rejected', output: null, failure, started_at: at, finished_at: at } as const;
      this.#end(envelope, { task_id: envelope.task_id, ...nothing });
    } else if (circumstances.fenced) {
      this.#tasks.raiseFencing(envelope.workload_id, envelope.fencing, envelope.task_id);
    }
    const task = this.#tasks.task(envelope.task_id);
    if (!task) {
      throw new Error(`task ${envelope.task_id} is not there after it was written`);
    }
    return { kind: failure ? 'rejected' : 'new', task };
  }

  /** Whoever asks again has not kept the result; one that waits already is on its way. */
  #again({ task, result_seq }: { task: KeptTask; result_seq: number | null }): Acceptance {
    const { envelope, result } = task;
    if (result !== null && !this.#outbox.holds(result_seq ?? 0)) {
      this.#writeAtAllCosts(() => this.#end(envelope, result));
    }
    return { kind: 'ended', task };
  }

  #end({ workload_id, type, fencing }: TaskEnvelope, result: TaskResult): void {
    const seq = this.#outbox.append('task.result', { workload_id, type, fencing, result }, this.#time());
    this.#tasks.end(result, seq);
  }

  #report(type: string, message: string, values: Record<string, unknown>): void {
    const event = { time: this.#time(), type, phase: null, message, values };
    this.append('event', { workload_id: null, source: 'agent', event, state: null, failure: null });
  }

  #ensureId(): string {
    const row = this.#database.get<{ value: string }>("SELECT value FROM meta WHERE key = 'journal_id'");
    return row?.value ?? this.#writeAtAllCosts(() => this.#renewId());
  }

  /**
   * Where the outbox ended when the journal was first opened since the control plane last said what it has: what a lost end
   * held may have reached it, and its numbers have been given out again since.
   */
  #ensureMark(): number {
    const row = this.#database.get<{ value: string }>("SELECT value FROM meta WHERE key = 'mark'");
    const mark = row ? Number(row.value) : this.#outbox.last();
    if (!row) {
      this.#writeAtAllCosts(() => this.#database.run("INSERT INTO meta (key, value) VALUES ('mark', ?)", String(mark)));
    }
    return mark;
  }

  #renewId(): string {
    const id = randomUUID();
    this.#database.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('journal_id', ?)", id);
    return id;
  }

  /** Gives the reserve up where there is no other room. */
  #writeAtAllCosts<T>(work: () => T, how?: { readonly hasty: boolean }): T {
    try {
      return this.#write(work, how);
    } catch (error) {
      if (isDiskFull(error) && this.#reserve.giveUp()) {
        return this.#write(work, how);
      }
      throw error;
    }
  }

  #write<T>(work: () => T, how?: { readonly hasty: boolean }): T {
    const before = this.#outbox.last();
    const result = this.#database.transaction(work, how);
    if (this.#outbox.last() !== before) {
      for (const listener of this.#listeners) {
        listener({ canWait: how?.hasty === true });
      }
    }
    return result;
  }
}

/**
 * What waits to be acknowledged, in order.
 *
 * Where too much waits, progress and metrics are dropped, oldest first; of topology, inventory and each job only the newest
 * waits at all, and how a job stands is read when it is sent. Results and events are never dropped. Events stay readable after they were acknowledged, for `explain`.
 */
import { latestOnly, type RecordBody, type RecordKind, recordKinds, thinnable } from '../../contract/records.ts';
import { maxFrameBytes } from '../../contract/signing.ts';
import type { Database } from './database.ts';
import type { KeptEvent, WaitingRecord } from './journal.ts';

export interface OutboxLimits {
  /** Above either of these, what may be thinned is. */
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** Events kept for reading, acknowledged or not. */
  readonly keptEvents: number;
}

/** How a job stands, for its followers; undefined where it is not known any more. */
export type ReportOf = (job: string) => RecordBody<'job.report'> | undefined;

/** A record travels in one frame, with its number, kind and time around it. */
const maxBodyBytes = maxFrameBytes - 1024;

const quoted = (kinds: readonly RecordKind[]) => kinds.map((kind) => `'${kind}'`).join(', ');
const thinnableKinds = quoted(recordKinds.filter((kind) => thinnable.has(kind)));

export class Outbox {
  readonly #database: Database;
  readonly #limits: OutboxLimits;
  readonly #reportOf: ReportOf;
  thinned = 0;

  constructor(database: Database, limits: OutboxLimits, reportOf: ReportOf) {
    this.#database = database;
    this.#limits = limits;
    this.#reportOf = reportOf;
  }

  depth(): { readonly records: number; readonly bytes: number } {
    const row = this.#database.get<{ records: number; bytes: number }>('SELECT records, bytes FROM outbox_depth');
    return row ?? { records: 0, bytes: 0 };
  }

  /** Within a transaction of the caller. Returns the number of the record. */
  append<K extends RecordKind>(kind: K, body: RecordBody<K>, at: string): number {
    const text = fitted(kind, body);
    if (latestOnly.has(kind)) {
      const { workload_id: about = null } = body as { readonly workload_id?: string };
      this.#drop(kind, about);
    }
    const seq = this.#insert(kind, text, at);
    if (kind === 'event') {
      this.#remember((body as RecordBody<'event'>).workload_id, at, text);
    }
    this.#thin();
    return seq;
  }

  /** Has it sent how the job stands, behind all that waits now. */
  tellOf(job: string, at: string): void {
    this.#drop('job.report', job);
    this.#insert('job.report', JSON.stringify({ workload_id: job }), at);
  }

  tellNothingOf(job: string): void {
    this.#drop('job.report', job);
  }

  holds(seq: number): boolean {
    return this.#database.get('SELECT 1 FROM outbox WHERE seq = ?', seq) !== undefined;
  }

  /** Number of the newest record there ever was. */
  last(): number {
    const row = this.#database.get<{ seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'");
    return row?.seq ?? 0;
  }

  waiting(after: number, limit: number): WaitingRecord[] {
    const rows = this.#database.all<{ seq: number; kind: RecordKind; at: string; body: string }>(
      'SELECT seq, kind, at, body FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?',
      ...[after, limit],
    );
    return rows.flatMap(({ body, ...row }) => {
      const sent = this.#sent(row.kind, JSON.parse(body));
      return sent === undefined ? [] : [{ ...row, body: sent }];
    });
  }

  acknowledge(seq: number): void {
    this.#database.run('DELETE FROM outbox WHERE seq <= ?', seq);
  }

  events(workloadId: string | undefined, limit: number): KeptEvent[] {
    const where = workloadId === undefined ? '' : 'WHERE workload_id = ?';
    const rows = this.#database.all<{ at: string; body: string }>(
      `SELECT at, body FROM events ${where} ORDER BY number DESC LIMIT ?`,
      ...(workloadId === undefined ? [limit] : [workloadId, limit]),
    );
    return rows.map(({ at, body }) => ({ at, body: JSON.parse(body) as RecordBody<'event'> }));
  }

  #drop(kind: RecordKind, about: string | null): void {
    this.#database.run("DELETE FROM outbox WHERE kind = ? AND body ->> 'workload_id' IS ?", kind, about);
  }

  #insert(kind: RecordKind, text: string, at: string): number {
    const row = this.#database.get<{ seq: number }>(
      'INSERT INTO outbox (kind, at, bytes, body) VALUES (?, ?, ?, ?) RETURNING seq',
      ...[kind, at, Buffer.byteLength(text), text],
    );
    return row?.seq ?? 0;
  }

  /** A journal of schema 2 has reports whole. */
  #sent(kind: RecordKind, body: { readonly workload_id?: string; readonly report?: unknown }): unknown {
    const { workload_id, report } = body;
    return kind === 'job.report' && report === undefined ? this.#reportOf(workload_id ?? '') : body;
  }

  #thin(): void {
    const { maxRecords, maxBytes } = this.#limits;
    const { records, bytes } = this.depth();
    if (records <= maxRecords && bytes <= maxBytes) {
      return;
    }
    // A quarter at once, so that a deep outbox is not thinned with each record.
    const excess = Math.max(records - maxRecords, 0) + Math.ceil(maxRecords / 4);
    this.thinned += this.#database.run(
      `DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE kind IN (${thinnableKinds}) ORDER BY seq LIMIT ?)`,
      excess,
    );
  }

  #remember(workloadId: string | null, at: string, body: string): void {
    this.#database.run('INSERT INTO events (workload_id, at, body) VALUES (?, ?, ?)', workloadId, at, body);
    this.#database.run(
      'DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?',
      this.#limits.keptEvents,
    );
  }
}

/**
 * The body as JSON that fits a frame. A result is cut, because it must arrive: first its events, then the rest of its
 * output. Anything else that does not fit is a bug of whoever made it.
 */
function fitted(kind: RecordKind, body: unknown): string {
  const text = JSON.stringify(body);
  if (Buffer.byteLength(text) <= maxBodyBytes) {
    return text;
  }
  if (kind !== 'task.result') {
    throw new RangeError(`a record of kind ${kind} does not fit a frame`);
  }
  const { result, ...rest } = body as RecordBody<'task.result'>;
  const output = result.output as { events?: unknown } | null;
  if (output?.events !== undefined && !isEmpty(output.events)) {
    return fitted(kind, { ...rest, result: { ...result, output: { ...output, events: [] } } });
  }
  if (output !== null) {
    return fitted(kind, { ...rest, result: { ...result, output: null } });
  }
  throw new RangeError('a result without output does not fit a frame');
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

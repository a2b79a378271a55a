/** The event log inside of one transaction. Writers are serial, so the numbers grow in the order of commits. */
import { judge } from '../../../contract/validate.ts';
import { Event, everyProject, type NewEvent } from '../entities/event.ts';
import { type EventLog, type EventQuery, Misshapen, type WritableEventLog } from '../store.ts';
import type { Connection } from './connection.ts';

interface EventScope {
  connection(): Connection;
  appended(seq: number): void;
}

export class ReadableEvents implements EventLog {
  protected readonly scope: EventScope;

  constructor(scope: EventScope) {
    this.scope = scope;
  }

  async list(query: EventQuery): Promise<Event[]> {
    if (query.project_id === undefined) return this.#list(query);
    // One after the other, as each is in the order of its index; together they would have to be sorted, all of them.
    const both = [...this.#list(query), ...this.#list({ ...query, project_id: everyProject })];
    both.sort((one, other) => one.seq - other.seq);
    return query.latest ? both.slice(-query.limit) : both.slice(0, query.limit);
  }

  #list({ after, limit, project_id, subject_id, latest = false }: EventQuery): Event[] {
    const conditions = [
      ['seq > ?', after],
      ['project_id = ?', project_id],
      ['subject_id = ?', subject_id],
    ].filter((condition): condition is [string, string | number] => condition[1] !== undefined);
    const rows = this.scope.connection().all(
      `SELECT seq, body FROM events WHERE ${conditions.map(([sql]) => sql).join(' AND ')}
         ORDER BY seq ${latest ? 'DESC' : 'ASC'} LIMIT ?`,
      [...conditions.map(([, value]) => value), limit],
    );
    const events = rows.map((row) => eventOf(Number(row['seq']), JSON.parse(String(row['body'])) as NewEvent));
    return latest ? events.reverse() : events;
  }

  async range(): Promise<{ first: number; last: number }> {
    const row = this.scope.connection().get('SELECT min(seq) AS first, max(seq) AS last FROM events', []);
    return { first: Number(row?.['first'] ?? 0), last: Number(row?.['last'] ?? 0) };
  }
}

export class WritableEvents extends ReadableEvents implements WritableEventLog {
  async append(event: NewEvent): Promise<Event> {
    const judged = judge(Event, { ...event, seq: 1 });
    if (!judged.ok) {
      throw new Misshapen(`event ${event.type}`, judged.errors);
    }
    const row = this.scope
      .connection()
      .get('INSERT INTO events (time, project_id, subject_id, body) VALUES (?, ?, ?, ?) RETURNING seq', [
        event.time,
        event.project_id,
        event.subject.id,
        JSON.stringify(event),
      ]);
    const seq = Number(row?.['seq']);
    this.scope.appended(seq);
    return eventOf(seq, event);
  }

  /** By their numbers, which are in order and indexed: looking at the times of all would take longer each day. */
  async forgetBefore(time: string, limit: number): Promise<number> {
    const oldest = 'SELECT seq FROM events ORDER BY seq LIMIT ?';
    return this.scope.connection().run(`DELETE FROM events WHERE seq IN (${oldest}) AND time < ?`, [limit, time]);
  }
}

function eventOf(seq: number, event: NewEvent): Event {
  return { seq, ...event };
}

/** One connection to the file: settings, tables, prepared statements. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { collectionNames, collections } from '../collections.ts';
import { bodyField } from './conditions.ts';

/** Changes with every change of the tables that an older program could not live with. */
export const schemaVersion = 1;

export class Connection {
  readonly database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(file: string) {
    this.database = new DatabaseSync(file, { timeout: 5_000 });
    try {
      this.database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF');
    } catch (error) {
      this.database.close();
      throw error;
    }
  }

  all(sql: string, values: readonly SQLInputValue[]): Record<string, unknown>[] {
    return this.#prepare(sql).all(...values);
  }

  get(sql: string, values: readonly SQLInputValue[]): Record<string, unknown> | undefined {
    return this.#prepare(sql).get(...values);
  }

  /** Returns how many rows changed. */
  run(sql: string, values: readonly SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  exec(sql: string): void {
    this.database.exec(sql);
  }

  close(): void {
    this.database.close();
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) {
      return known;
    }
    const statement = this.database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** Makes what is missing; safe to run at every start. */
export function ensureTables(connection: Connection): void {
  const statements = collectionNames.flatMap((name) => [
    `CREATE TABLE IF NOT EXISTS ${name} (id TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL) STRICT`,
    ...collections[name].indexes.map((fields) => indexOf('INDEX', name, fields)),
    ...collections[name].unique.map((fields) => indexOf('UNIQUE INDEX', name, fields)),
  ]);
  connection.exec(
    [
      'BEGIN IMMEDIATE',
      ...statements,
      `CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, project_id TEXT, subject_id TEXT NOT NULL, body TEXT NOT NULL
      ) STRICT`,
      'CREATE INDEX IF NOT EXISTS events_by_project ON events (project_id, seq)',
      'CREATE INDEX IF NOT EXISTS events_by_subject ON events (subject_id, seq)',
      `PRAGMA user_version = ${schemaVersion}`,
      'COMMIT',
    ].join(';\n'),
  );
}

function indexOf(kind: string, collection: string, fields: readonly string[]): string {
  const by = fields.map(bodyField).join(', ');
  return `CREATE ${kind} IF NOT EXISTS ${collection}_by_${fields.join('_and_')} ON ${collection} (${by})`;
}

/**
 * One SQLite file that only this process has open: a commit is on the disk before it returns, unless it may be hasty.
 *
 * A file that is no database any more is set aside and begun anew: an agent that lost its memory is better off than one
 * that does not start. The exclusive lock keeps the index of the write-ahead log in memory, so that a full disk cannot
 * take it away.
 */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { AgentError } from '../../contract/failures.ts';
import { moveDurable } from '../../kit/durable.ts';

export interface OpenedDatabase {
  readonly database: Database;
  /** Why the file that was there could not be used, and where it is now. */
  readonly rebuilt: { readonly reason: string; readonly setAside: string } | undefined;
}

/** SQLite's result codes, without what they are extended by. */
const codes = { busy: 5, corrupt: 11, full: 13, notADatabase: 26 } as const;

/** Unusable files that are kept for whoever wants to know what happened. */
const keptAside = 3;

/** Tables, and their number. Each next one only adds to the one before. */
export interface Schema {
  readonly version: number;
  /** Must be safe to run on a file that has it already. */
  readonly sql: string;
}

/**
 * A file of an older schema is copied beside (`….before-N`) before it is changed; one that is one newer is taken as it is: it was
 * left by a version that was rolled back. `agent.outdated` for what is newer still, `agent.busy` where another process has it.
 */
export function openDatabase(file: string, schema: Schema): OpenedDatabase {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const reason = emptied(file) ? 'The file was empty.' : undefined;
  if (reason !== undefined) {
    return { rebuilt: { reason, setAside: setAside(file) }, database: new Database(file, schema) };
  }
  try {
    return { database: new Database(file, schema), rebuilt: undefined };
  } catch (error) {
    if (!isUnreadable(error)) {
      throw error;
    }
    const rebuilt = { reason: (error as Error).message, setAside: setAside(file) };
    return { rebuilt, database: new Database(file, schema) };
  }
}

export class Database {
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(file: string, schema: Schema) {
    // For its owner only from the first moment on; the write-ahead log takes its mode from it.
    closeSync(openSync(file, 'a', 0o600));
    this.#connection = new DatabaseSync(file, { timeout: 0 });
    try {
      this.#connection.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
      this.#connection.exec(
        'PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 4194304',
      );
      const fault = this.fault();
      if (fault !== null) {
        throw new UnreadableDatabase(fault);
      }
      this.#migrate(file, schema);
    } catch (error) {
      this.#connection.close();
      throw codeOf(error) === codes.busy
        ? new AgentError('agent.busy', { reason: `${file} is open in another process.` }, { cause: error })
        : error;
    }
  }

  /** What is damaged in the file, in words; null where it is sound. Reads all of it. */
  fault(): string | null {
    const { quick_check } = this.get<{ quick_check: string }>('PRAGMA quick_check(1)') ?? { quick_check: 'nothing' };
    return quick_check === 'ok' ? null : quick_check;
  }

  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  get<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined;
  }

  all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  /**
   * All of `work` or none of it; within another transaction it belongs to that one. A hasty one outlives this process as
   * any other, but the machine only with the next that is not: it does not wait for the disk.
   */
  transaction<T>(work: () => T, { hasty = false } = {}): T {
    if (this.#connection.isTransaction) {
      return work();
    }
    this.#connection.exec(`PRAGMA synchronous = ${hasty ? 'NORMAL' : 'FULL'}; BEGIN IMMEDIATE`);
    try {
      const result = work();
      this.#connection.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk may have rolled it back already.
      if (this.#connection.isTransaction) {
        this.#connection.exec('ROLLBACK');
      }
      throw error;
    }
  }

  close(): void {
    this.#statements.clear();
    this.#connection.close();
  }

  #migrate(file: string, { version, sql }: Schema): void {
    const { user_version: found } = this.get<{ user_version: number }>('PRAGMA user_version') ?? { user_version: 0 };
    if (found > version + 1) {
      const reason = `${file} has schema ${found}, and this version knows ${version}.`;
      throw new AgentError('agent.outdated', { reason, path: file });
    }
    if (found >= version) {
      this.#connection.exec(sql);
      return;
    }
    const { tables } = this.get<{ tables: number }>('SELECT count(*) AS tables FROM sqlite_schema') ?? { tables: 0 };
    if (tables > 0) {
      this.#statements.clear();
      copyBeside(this.#connection, file, version);
    }
    this.transaction(() => this.#connection.exec(`${sql}; PRAGMA user_version = ${version}`));
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) {
      return known;
    }
    const statement = this.#connection.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** True if the disk had no room for what was written. */
export function isDiskFull(error: unknown): boolean {
  return codeOf(error) === codes.full || (error as NodeJS.ErrnoException | undefined)?.code === 'ENOSPC';
}

class UnreadableDatabase extends Error {}

function isUnreadable(error: unknown): boolean {
  const code = codeOf(error);
  return error instanceof UnreadableDatabase || code === codes.corrupt || code === codes.notADatabase;
}

function codeOf(error: unknown): number | undefined {
  const { errcode } = (error ?? {}) as { errcode?: number };
  return errcode === undefined ? undefined : errcode & 0xff;
}

/** A database that was written to is never empty, unless what it held waits in the write-ahead log. */
function emptied(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.size === 0 && !existsSync(`${file}-wal`);
}

/** What the file held before it was changed, whole or not at all; only the newest copy is kept. */
function copyBeside(connection: DatabaseSync, file: string, version: number): void {
  const folder = dirname(file);
  const name = `${basename(file)}.before-`;
  const temporary = `${file}.before-${version}.new`;
  rmSync(temporary, { force: true });
  try {
    closeSync(openSync(temporary, 'wx', 0o600));
    connection.prepare('VACUUM INTO ?').run(temporary);
    moveDurable(temporary, `${file}.before-${version}`);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  for (const other of readdirSync(folder)) {
    if (other.startsWith(name) && other !== `${name}${version}`) rmSync(join(folder, other));
  }
}

/** Moves file and log out of the way, and forgets the oldest of those that were moved before. */
function setAside(file: string): string {
  const to = `${file}.unreadable-${new Date().toISOString().replaceAll(/[:.]/g, '')}`;
  for (const part of ['', '-wal']) {
    if (existsSync(file + part)) {
      renameSync(file + part, to + part);
    }
  }
  rmSync(`${file}-shm`, { force: true });
  const prefix = `${basename(file)}.unreadable-`;
  const aside = readdirSync(dirname(file)).filter((name) => name.startsWith(prefix) && !name.endsWith('-wal'));
  for (const name of aside.sort().slice(0, -keptAside)) {
    rmSync(join(dirname(file), name), { force: true });
    rmSync(join(dirname(file), `${name}-wal`), { force: true });
  }
  return to;
}

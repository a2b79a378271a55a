/** The store in one SQLite file: one connection writes, a few others read what was committed. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { AgentError } from '../../../contract/failures.ts';
import type { Commit, ReadTx, Store, Tx } from '../store.ts';
import { Connection, ensureTables, schemaVersion } from './connection.ts';
import { readOf } from './transaction.ts';
import { Writer } from './writer.ts';

/** Connections that are kept for the next read. */
const idleReaders = 4;
/** SQLite's code for a disk without room. */
const full = 13;

/** Opens the file, or makes it; `store.unusable` where it cannot be used. The folder is this user's alone. */
export function openSqliteStore(file: string): Store {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  keepToOneself(file);
  let connection: Connection | undefined;
  try {
    connection = new Connection(file);
    const found = Number(connection.get('PRAGMA user_version', [])?.['user_version']);
    if (found > schemaVersion) {
      const reason = `It was written by a newer version: ${found}, this one knows ${schemaVersion}.`;
      throw new AgentError('store.unusable', { reason, file });
    }
    ensureTables(connection);
    return new SqliteStore(file, connection);
  } catch (error) {
    connection?.close();
    if (error instanceof AgentError) {
      throw error;
    }
    throw new AgentError('store.unusable', { reason: `${(error as Error).message}.`, file }, { cause: error });
  }
}

/** Also in a folder that others may look into. What SQLite puts beside the file is as open as the file. */
function keepToOneself(file: string): void {
  try {
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
  } catch (error) {
    throw new AgentError('store.unusable', { reason: `${(error as Error).message}.`, file }, { cause: error });
  }
}

class SqliteStore implements Store {
  readonly #file: string;
  readonly #connection: Connection;
  readonly #writer: Writer;
  readonly #readers: Connection[] = [];
  readonly #listeners = new Set<(commit: Commit) => void>();
  /** Set while work runs, so that a transaction inside of another is noticed instead of waiting for ever. */
  readonly #inside = new AsyncLocalStorage<{ open: boolean }>();
  #closed = false;

  constructor(file: string, connection: Connection) {
    this.#file = file;
    this.#connection = connection;
    this.#writer = new Writer(connection, (commit) => this.#tell(commit));
  }

  async read<T>(work: (tx: ReadTx) => Promise<T>): Promise<T> {
    this.#assertUsable();
    const connection = this.#readers.pop() ?? new Connection(this.#file);
    connection.exec('BEGIN');
    const { tx, end } = readOf(connection);
    try {
      return await this.#guarded(() => work(tx));
    } finally {
      end();
      connection.exec('ROLLBACK');
      this.#giveBack(connection);
    }
  }

  async write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    this.#assertUsable();
    try {
      return await this.#writer.run((tx) => this.#guarded(() => work(tx)));
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== full) {
        throw error;
      }
      const reason = 'The store of the control plane cannot grow; what it holds can be read.';
      throw new AgentError('disk.full', { reason, file: this.#file }, { cause: error });
    }
  }

  onCommit(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#writer.idle();
    for (const reader of this.#readers.splice(0)) {
      reader.close();
    }
    this.#connection.close();
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    const inside = { open: true };
    try {
      return await this.#inside.run(inside, work);
    } finally {
      inside.open = false;
    }
  }

  #assertUsable(): void {
    if (this.#closed) {
      throw new Error('the store is closed');
    }
    if (this.#inside.getStore()?.open) {
      throw new Error('a transaction inside of a transaction: use the one there is');
    }
  }

  #giveBack(connection: Connection): void {
    if (this.#closed || this.#readers.length >= idleReaders) {
      connection.close();
    } else {
      this.#readers.push(connection);
    }
  }

  #tell(commit: Commit): void {
    for (const listener of [...this.#listeners]) {
      queueMicrotask(() => listener(commit));
    }
  }
}

/** Copies of a store: one out of it while it is in use, and one into its place while it is not. */
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { AgentError } from '../../../contract/failures.ts';
import { giveToOwner } from './give-to-owner.ts';

/** All pages in one step: it sees one moment, and no writer makes it begin anew. */
const allPages = 2 ** 31 - 1;

/** What SQLite keeps beside a file; it belongs to that file alone. */
const beside = ['-wal', '-shm'] as const;

/**
 * Writes what the store holds at one moment into a new file, which nobody else may read, and which is there whole or not at all.
 * Works beside whoever uses the store.
 */
export async function copyOut(store: string, file: string): Promise<void> {
  const unfinished = `${file}.unfinished`;
  try {
    closeSync(openSync(unfinished, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600));
  } catch (error) {
    throw unusable(`${(error as Error).message}.`, error);
  }
  try {
    const source = new DatabaseSync(store, { timeout: 5_000 });
    try {
      await backup(source, unfinished, { rate: allPages });
    } finally {
      source.close();
    }
    beOneFile(unfinished);
    flush(unfinished);
    renameSync(unfinished, file);
    flush(dirname(file));
  } catch (error) {
    throw unusable(`${(error as Error).message}.`, error);
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/**
 * Puts a copy of the file in place of the store, which nobody may be using, and returns where the old one is now; undefined if
 * there was none. A store that was set aside may have what was written last beside it: that comes along. Sessions of browsers do
 * not come back: some of them were signed out since.
 */
export function copyIn(file: string, store: string, suffix: string): string | undefined {
  const fresh = `${store}.restored`;
  for (const each of ['', ...beside]) rmSync(fresh + each, { force: true });
  for (const each of ['', '-wal'].filter((end) => existsSync(file + end))) {
    copyFileSync(file + each, fresh + each);
    chmodSync(fresh + each, 0o600);
  }
  forgetSessions(fresh);
  giveToOwner(fresh);
  flush(fresh);
  const old = existsSync(store) ? `${store}.${suffix}` : undefined;
  if (old !== undefined) {
    // As it is, also where it is damaged; what lies beside it would be taken for that of the new one.
    linkSync(store, old);
    for (const each of beside) if (existsSync(store + each)) renameSync(store + each, old + each);
  }
  renameSync(fresh, store);
  flush(dirname(store));
  return old;
}

function forgetSessions(store: string): void {
  const database = new DatabaseSync(store);
  try {
    const has = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'sessions'").get();
    if (has) database.exec('DELETE FROM sessions');
  } finally {
    database.close();
  }
  beOneFile(store);
}

function beOneFile(file: string): void {
  const database = new DatabaseSync(file);
  try {
    database.exec('PRAGMA journal_mode = DELETE');
  } finally {
    database.close();
  }
}

function flush(path: string): void {
  const file = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function unusable(reason: string, cause: unknown): AgentError {
  return new AgentError('file.unusable', { reason }, { cause });
}

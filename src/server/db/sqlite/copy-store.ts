/** Copies of a store: one out of it while it is in use, and one into its place while it is not. */
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { AgentError } from '../../../contract/failures.ts';
import { giveToOwner } from './give-to-owner.ts';
import { lockFolder } from './lock-folder.ts';

/** All pages in one step: it sees one moment, and no writer makes it begin anew. */
const allPages = 2 ** 31 - 1;

/** What SQLite keeps beside a file; it belongs to that file alone. */
const beside = ['-wal', '-shm'] as const;

/**
 * Writes what the store holds at one moment into a new file, which nobody else may read, and which is there whole or not at all.
 * Works beside whoever uses the store. What it has not finished is in a folder of its own beside the file, locked as long as
 * somebody is at work on it; what a killed one has left behind is removed by the next one of that name.
 */
export async function copyOut(store: string, file: string): Promise<void> {
  const unfinished = `${file}.unfinished-`;
  let folder: string | undefined;
  let lock: { release(): void } | undefined;
  try {
    removeLeftovers(unfinished);
    folder = mkdtempSync(unfinished);
    lock = lockFolder(folder);
    const copy = join(folder, 'copy.db');
    closeSync(openSync(copy, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600));
    const source = new DatabaseSync(store, { timeout: 5_000 });
    try {
      await backup(source, copy, { rate: allPages });
    } finally {
      source.close();
    }
    beOneFile(copy);
    flush(copy);
    if (existsSync(file)) throw new Error(`${file} was made meanwhile`);
    renameSync(copy, file);
    flush(dirname(file));
  } catch (error) {
    throw unusable(`${(error as Error).message}.`, error);
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    lock?.release();
  }
}

/** Those of whoever is at work are locked, and left alone. */
function removeLeftovers(unfinished: string): void {
  const parent = dirname(unfinished);
  for (const name of readdirSync(parent).filter((each) => each.startsWith(basename(unfinished)))) {
    const folder = join(parent, name);
    try {
      const lock = lockFolder(folder);
      rmSync(folder, { recursive: true, force: true });
      lock.release();
    } catch {
      // It is at work, has ended meanwhile, or belongs to somebody else: it stands in nobody's way.
    }
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

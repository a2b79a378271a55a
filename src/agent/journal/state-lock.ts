/**
 * One process at a time per state directory: the daemon, or one `run-task`.
 *
 * The lock is an exclusive transaction on a database file of its own, which the kernel releases when the process dies,
 * however it dies. There is no pid file to go stale, and no moment in which two processes both believe they hold it.
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AgentError } from '../../contract/failures.ts';
import { pause } from '../../kit/backoff.ts';
import { notUsable } from '../system-trouble.ts';
import { isDiskFull } from './database.ts';

export interface StateLock {
  release(): void;
}

export interface LockOptions {
  /** Who is asking, shown to those who have to wait, for example `node-agent run-task`. */
  readonly owner: string;
  /** How long to wait for the holder to end; 0 asks once. */
  readonly waitMs: number;
  readonly signal?: AbortSignal;
  /** Called once, when the wait begins. */
  readonly onWait?: (holder: string) => void;
}

/** Takes the lock, or fails with `agent.busy` naming the holder once the wait is over. */
export async function lockState(stateDir: string, { owner, waitMs, signal, onWait }: LockOptions): Promise<StateLock> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  assertOwn(stateDir);
  const holderFile = join(stateDir, 'lock.holder');
  const until = performance.now() + waitMs;
  let told = false;

  for (;;) {
    const database = tryLock(join(stateDir, 'lock.db'));
    if (database) {
      try {
        writeFileSync(holderFile, `${owner} (pid ${process.pid})\n`, { mode: 0o600 });
      } catch (error) {
        // The name helps those who wait. A full disk must not keep the agent from starting for it.
        if (!isDiskFull(error)) {
          database.close();
          throw error;
        }
      }
      return { release: () => database.close() };
    }
    const holder = holderOf(holderFile);
    if (performance.now() >= until) {
      throw new AgentError('agent.busy', { reason: `It is held by ${holder}.`, holder });
    }
    if (!told) {
      told = true;
      onWait?.(holder);
    }
    await pause(50, signal);
  }
}

/**
 * `command.invalid` for who works in the state of another user. For root too: that user may have put links there, by which root
 * would write anywhere, and could not use what root leaves.
 */
export function assertOwn(stateDir: string): void {
  const owner = statSync(stateDir, { throwIfNoEntry: false })?.uid;
  if (owner === undefined || owner === process.geteuid?.()) return;
  const reason = `${stateDir} belongs to user ${owner}: run this as that user, for example by runuser -u "$(id -un ${owner})" -- ….`;
  throw new AgentError('command.invalid', { reason, path: stateDir });
}

/** SQLite's code for a lock that somebody else holds. */
const busy = 5;
/** SQLite's codes for a file that is no database (any more). */
const unreadable = [11, 26];

/** Undefined if somebody else holds it, or if the next try may do better. */
function tryLock(file: string): DatabaseSync | undefined {
  const database = openDatabase(file);
  try {
    database.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database.close();
    const { errcode } = error as { errcode?: number };
    if (errcode === busy) {
      return undefined;
    }
    if (errcode !== undefined && unreadable.includes(errcode)) {
      // It holds nothing but the lock, and nobody can hold a lock on what is no database.
      renameSync(file, `${file}.unreadable`);
      return tryLock(file);
    }
    throw error;
  }
}

function openDatabase(file: string): DatabaseSync {
  try {
    return new DatabaseSync(file, { timeout: 0 });
  } catch (error) {
    throw notUsable(file, 'it cannot be opened', error);
  }
}

function holderOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim() || 'another process';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return 'another process';
    }
    throw error;
  }
}

/** One control plane per folder: an exclusive transaction on a file of its own, which the kernel ends with the process. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AgentError } from '../../../contract/failures.ts';
import { giveToOwner } from './give-to-owner.ts';

/** SQLite's code for a lock that somebody else holds. */
const busy = 5;

/** `server.running` if somebody holds it. */
export function lockFolder(folder: string): { release(): void } {
  const file = join(folder, 'lock.db');
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    giveToOwner(file);
    database.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === busy) {
      throw new AgentError('server.running', { folder }, { cause: error });
    }
    throw new AgentError('store.unusable', { reason: `${(error as Error).message}.`, folder }, { cause: error });
  }
  return { release: () => database.close() };
}

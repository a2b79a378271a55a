/**
 * Backup, restore and check of a control plane's store, by its data folder.
 *
 * A backup is the store alone: projects, tokens as hashes, catalog, artifacts, allocations, nodes, instances, tasks, events, audit
 * log, idempotent answers with their secrets sealed. It has none of the keys in `keys/`: with both, somebody could be this control
 * plane, so they are kept apart.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../contract/failures.ts';
import { copyIn, copyOut } from './db/sqlite/copy-store.ts';
import { type Examined, examine } from './db/sqlite/examine.ts';
import { lockFolder } from './db/sqlite/lock-folder.ts';
import { keyFiles } from './keys/server-keys.ts';

const storeOf = (folder: string) => join(folder, 'control-plane.db');

export interface Restored extends Examined {
  /** Where the store is now that was there before; null if there was none. */
  readonly set_aside: string | null;
  /** False: nodes cannot be spoken to until their keys are put back as well. */
  readonly has_keys: boolean;
}

/** Also while a control plane is at work on the folder. The file must not be there yet. */
export async function backUpStore(folder: string, file: string): Promise<Examined> {
  if (!existsSync(storeOf(folder))) throw new AgentError('server.not_initialised', { folder });
  if (existsSync(file)) throw new AgentError('file.unusable', { reason: `${file} is there already.` });
  await copyOut(storeOf(folder), file);
  return examine(file);
}

/** Only while no control plane is at work on the folder, and only what this version can read to its end. */
export function restoreStore(folder: string, file: string, now: Date): Restored {
  if (!existsSync(file)) throw new AgentError('file.unusable', { reason: `There is no ${file}.` });
  const examined = examine(file);
  if (examined.misshapen.length > 0) {
    throw new AgentError('store.unusable', {
      reason: `It does not hold what it should: ${examined.misshapen[0]}.`,
      file,
    });
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = lockFolder(folder);
  try {
    const suffix = `before-${now.toISOString().replaceAll(/[-:]|\.\d+/g, '')}`;
    const old = copyIn(file, storeOf(folder), suffix);
    return {
      ...examined,
      set_aside: old ?? null,
      has_keys: keyFiles.every((name) => existsSync(join(folder, 'keys', name))),
    };
  } finally {
    lock.release();
  }
}

/** The store of the folder, or the backup in a file; also while a control plane is at work. */
export function checkStore(folder: string, file?: string): Examined {
  if (file === undefined && !existsSync(storeOf(folder))) throw new AgentError('server.not_initialised', { folder });
  if (file !== undefined && !existsSync(file))
    throw new AgentError('file.unusable', { reason: `There is no ${file}.` });
  return examine(file ?? storeOf(folder));
}

/** Makes folders, and says in our words why not. */
import { mkdir } from 'node:fs/promises';
import { AgentError } from '../contract/failures.ts';
import { isDiskFull } from '../kit/disk-full.ts';
import { refuseFolder } from './safe-folders.ts';

/** Closed to all but its maker at first. False if something of this name is already there. `path` is for messages. */
export async function makeFolder(entry: string, path: string): Promise<boolean> {
  try {
    await mkdir(entry, { mode: 0o700 });
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (isDiskFull(error)) throw new AgentError('disk.full', { path }, { cause: error });
    if (['EACCES', 'EPERM', 'EROFS'].includes(code ?? '')) {
      throw refuseFolder(path, `cannot be made (${code})`, error);
    }
    throw error;
  }
}

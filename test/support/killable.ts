/**
 * What a process leaves in its temporary folder when it is killed, such as a file of SQLite's, goes with the tests of the file, and
 * with the process of the tests where that is killed itself.
 */
import { chmodSync } from 'node:fs';
import { runWhenGone } from '../../bootstrap/dev/processes.ts';
import { atFileEnd } from './file-end.ts';
import { temporaryFolder } from './temporary-folder.ts';

let folder: string | undefined;

/** The environment for a process that may be killed; also one of another user's. */
export function killable(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  if (folder === undefined) {
    folder = temporaryFolder('killable');
    chmodSync(folder, 0o1777);
    const release = runWhenGone(['rm', '-rf', '--', folder]);
    atFileEnd(async () => {
      folder = undefined;
      await release();
    });
  }
  return { ...env, TMPDIR: folder };
}

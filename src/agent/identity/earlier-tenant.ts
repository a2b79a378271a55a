/**
 * What the state folder remembers of tasks is of the tenant of its allocation: journal, logs of tasks, documents of stacks.
 * It is gone before the host is the node of another allocation, so whoever has that sees nothing of it, by whatever command.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { syncPath } from '../../kit/durable.ts';
import { readNode } from './node-record.ts';
import { identityFolder, readPrivateFile, replacePrivateFile } from './private-file.ts';

/** With what is written aside of a journal, such as a copy that was made before an update. */
const ofTenant = /^(agent\.db|task-logs$|stacks$)/;

/**
 * To be called before anything else says that the host serves this allocation, and under the lock of the state folder. Killed
 * anywhere, the next call does the rest. What a host did before it served any is its own, and stays.
 */
export function forgetEarlierTenant(stateDir: string, allocationId: string): void {
  const file = join(identityFolder(stateDir), 'allocation');
  const noted = readPrivateFile(file);
  const before = noted ?? readNode(stateDir)?.allocation_id ?? allocationId;
  if (before !== allocationId) {
    for (const name of readdirSync(stateDir).filter((each) => ofTenant.test(each))) {
      rmSync(join(stateDir, name), { recursive: true });
    }
    syncPath(stateDir);
  }
  if (noted !== allocationId) replacePrivateFile(file, allocationId);
}

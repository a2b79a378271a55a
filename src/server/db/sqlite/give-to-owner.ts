/** Files that root makes in the folder of a control plane that runs as another user. */
import { lchownSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Gives the file to the owner of its folder; does nothing for any other user than root, whose own it is. */
export function giveToOwner(path: string): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(path));
  lchownSync(path, uid, gid);
}

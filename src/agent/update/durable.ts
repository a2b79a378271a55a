/** Files and links that are there whole or not at all, and on the disk when a call returns. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export function writeDurable(file: string, text: string | Uint8Array, mode = 0o644): void {
  const temporary = `${file}.new`;
  rmSync(temporary, { force: true });
  writeFileSync(temporary, text, { mode, flush: true, flag: 'wx' });
  renameSync(temporary, file);
  syncFolder(dirname(file));
}

/** A link in the folder leads to `target` from now on; there is no moment in which it leads nowhere. */
export function pointLink(folder: string, name: string, target: string): void {
  const temporary = join(folder, `.${name}.new`);
  rmSync(temporary, { force: true });
  symlinkSync(target, temporary);
  renameSync(temporary, join(folder, name));
  syncFolder(folder);
}

/** A name is on the disk only when its folder is. */
export function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

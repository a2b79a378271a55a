/** Files and links that are there whole or not at all, and on the disk when a call returns. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export function writeDurable(file: string, text: string | Uint8Array, mode = 0o644): void {
  const temporary = `${file}.new`;
  rmSync(temporary, { force: true });
  try {
    writeFileSync(temporary, text, { mode, flush: true, flag: 'wx' });
  } catch (error) {
    // On a full disk what came of it takes the last of the room.
    rmSync(temporary, { force: true });
    throw error;
  }
  renameSync(temporary, file);
  syncPath(dirname(file));
}

/** A file that was written beside takes the place of what is there, if anything is. */
export function moveDurable(from: string, to: string): void {
  syncPath(from);
  renameSync(from, to);
  syncPath(dirname(to));
}

/** A link in the folder leads to `target` from now on; there is no moment in which it leads nowhere. */
export function pointLink(folder: string, name: string, target: string): void {
  const temporary = join(folder, `.${name}.new`);
  rmSync(temporary, { force: true });
  symlinkSync(target, temporary);
  renameSync(temporary, join(folder, name));
  syncPath(folder);
}

/** Of a file what was written to it, of a folder its names: those of files are on the disk only when their folder is. */
export function syncPath(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** `syncPath` of a file that may be large: others go on meanwhile. */
export async function syncFile(file: string): Promise<void> {
  const handle = await open(file);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** All of it: a single write may take less. */
export function writeWhole(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done);
  }
}

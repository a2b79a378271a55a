/**
 * A log file that is rotated once: `path`, and what it was before as `path.1`. Known by its first line, whatever it is
 * called: inodes are used again.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';

export interface OpenFile {
  readonly handle: FileHandle;
  readonly id: string;
}

/** Bytes of the first line that tell one file from another: it begins with a time. */
const idBytes = 4096;

/** Opens the file of this id, or the oldest there is; undefined where there is none with a line in it. */
export async function openFile(path: string, wanted?: string): Promise<OpenFile | undefined> {
  const files = await openAll(path);
  const chosen = files.find(({ id }) => id === wanted) ?? files[0];
  await Promise.all(files.filter((file) => file !== chosen).map(({ handle }) => handle.close()));
  return chosen;
}

/**
 * Id of the file that was begun after this one; undefined while this one is the newest. Where this one is gone it is the
 * oldest there is: `follows` is false, as something between them may have been lost.
 */
export async function newerThan(path: string, id: string): Promise<{ id: string; follows: boolean } | undefined> {
  const files = await openAll(path);
  await Promise.all(files.map(({ handle }) => handle.close()));
  const place = files.findIndex((file) => file.id === id);
  const newer = files[place + 1];
  return newer === undefined ? undefined : { id: newer.id, follows: place !== -1 };
}

/** Oldest first. */
async function openAll(path: string): Promise<OpenFile[]> {
  const files = await Promise.all([`${path}.1`, path].map(openAt));
  return files.filter((file) => file !== undefined);
}

async function openAt(path: string): Promise<OpenFile | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(idBytes), 0, idBytes, 0);
  const read = buffer.subarray(0, bytesRead);
  const end = read.indexOf('\n');
  if (end === -1 && bytesRead < idBytes) {
    // Its first line is being written.
    await handle.close();
    return undefined;
  }
  const line = end === -1 ? read : read.subarray(0, end);
  return { handle, id: createHash('sha256').update(line).digest('hex').slice(0, 16) };
}

/** Takes a socket file for a server: replaces one that nobody listens on, never one that somebody does. */
import { randomBytes } from 'node:crypto';
import { chmod, chown, link, lstat, rename, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { AgentError } from '../contract/failures.ts';

export interface SocketFile {
  readonly path: string;
  /** Rights of the file; connecting needs the right to write. */
  readonly mode: number;
  /** Group that owns the file; that of the process if undefined. */
  readonly group?: number | undefined;
}

/**
 * Listens, and resolves when the file can be connected to; `agent.busy` if another process answers there.
 *
 * The socket is bound under another name and gets its rights there; linking it to its place is atomic and fails if the
 * place is taken.
 */
export async function listenOn(server: Server, { path, mode, group }: SocketFile): Promise<() => Promise<void>> {
  const draft = join(dirname(path), `.${randomBytes(6).toString('hex')}`);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(draft, () => {
      server.off('error', reject);
      resolve();
    });
  });
  try {
    await chmod(draft, mode);
    if (group !== undefined) await chown(draft, -1, group);
    const { ino } = await lstat(draft);
    await takePlace(draft, path);
    return () => removeOwn(path, ino);
  } finally {
    await unlink(draft);
  }
}

async function takePlace(draft: string, path: string): Promise<void> {
  try {
    await link(draft, path);
    return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  await setAsideStale(path);
  await link(draft, path);
}

/** Moved away first and asked there, so that two gates that start at once cannot both take it for stale. */
async function setAsideStale(path: string): Promise<void> {
  if (!(await lstat(path)).isSocket()) throw busy(path, 'It exists and is no socket.');
  const aside = join(dirname(path), `.${randomBytes(6).toString('hex')}`);
  if (await isAnswered(path)) throw busy(path, 'Another gate listens there.');
  await rename(path, aside);
  try {
    if (!(await isAnswered(aside))) return;
    await link(aside, path);
    throw busy(path, 'Another gate listens there.');
  } finally {
    await unlink(aside);
  }
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else if (error.code === 'EAGAIN') resolve(true);
      else reject(error);
    });
  });
}

/** Only if it is still the same socket: a later server may have its own there by now. */
async function removeOwn(path: string, ino: number): Promise<void> {
  try {
    if ((await lstat(path)).ino === ino) await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function busy(path: string, reason: string): AgentError {
  return new AgentError('agent.busy', { socket: path, reason });
}

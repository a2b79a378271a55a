/** Takes a socket file for a server: replaces one that nobody listens on, never one that somebody does. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, link, lstat, rename, rm } from 'node:fs/promises';
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

/** Longest path that a client can connect to, see unix(7). */
const maxPathBytes = 107;

/**
 * Listens, and resolves when the file can be connected to, with a function that removes it; `agent.busy` if another
 * process answers there, `config.invalid` if nobody can listen there.
 *
 * The socket is bound under another name and gets its rights there; linking it to its place is atomic and fails if the
 * place is taken.
 */
export async function listenOn(server: Server, { path, mode, group }: SocketFile): Promise<() => Promise<void>> {
  if (Buffer.byteLength(path) > maxPathBytes) throw unusable(path, `It is longer than ${maxPathBytes} bytes.`);
  const draft = join(dirname(path), `.${randomBytes(6).toString('hex')}`);
  await bind(server, draft, path);
  try {
    await chmod(draft, mode);
    if (group !== undefined) await chown(draft, -1, group);
    const { ino } = await lstat(draft);
    await takePlace(draft, path);
    return () => removeOwn(path, ino);
  } catch (error) {
    server.close();
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function bind(server: Server, draft: string, path: string): Promise<void> {
  try {
    server.listen(draft);
    await once(server, 'listening');
  } catch (cause) {
    throw unusable(path, `Nobody can listen there: ${(cause as NodeJS.ErrnoException).code}.`, cause);
  }
}

async function takePlace(draft: string, path: string): Promise<void> {
  if (await isLinked(draft, path)) return;
  await setAsideStale(path);
  if (!(await isLinked(draft, path))) throw busy(path, 'Another gate was quicker.');
}

/** False if the place is taken. */
async function isLinked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

/** Moved away first and asked there, so that two gates that start at once cannot both take it for stale. */
async function setAsideStale(path: string): Promise<void> {
  const found = await lstat(path).catch(ignoreAbsence);
  if (found === undefined) return;
  if (!found.isSocket()) throw unusable(path, 'It exists and is no socket.');
  if (await isAnswered(path)) throw busy(path, 'Another gate listens there.');

  const aside = join(dirname(path), `.${randomBytes(6).toString('hex')}`);
  await rename(path, aside).catch(ignoreAbsence);
  try {
    if (!(await isAnswered(aside))) return;
    await isLinked(aside, path);
    throw busy(path, 'Another gate listens there.');
  } finally {
    await rm(aside, { force: true });
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
  const found = await lstat(path).catch(ignoreAbsence);
  if (found?.ino === ino) await rm(path, { force: true });
}

function ignoreAbsence(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

function unusable(path: string, reason: string, cause?: unknown): AgentError {
  return new AgentError('config.invalid', { path, reason }, { cause });
}

function busy(path: string, reason: string): AgentError {
  return new AgentError('agent.busy', { socket: path, reason });
}

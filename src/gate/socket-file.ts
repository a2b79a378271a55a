/** Takes a socket file for a server: replaces one that nobody listens on, never one that somebody does. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, link, lstat, mkdir, rename, rm } from 'node:fs/promises';
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

/** After a boot it is gone. Everybody may pass: who may connect is said by the socket's own rights. */
async function ensureFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true });
  if (made !== undefined) await chmod(folder, 0o755);
}

async function bind(server: Server, draft: string, path: string): Promise<void> {
  try {
    await ensureFolder(dirname(path));
    server.listen(draft);
    await once(server, 'listening');
  } catch (cause) {
    throw unusable(path, `Nobody can listen there: ${(cause as NodeJS.ErrnoException).code}.`, cause);
  }
}

/**
 * The right to replace a socket that nobody listens on is a link of ours, named after that very socket: one of several
 * gets it, and moving it to the place replaces what is there in one step. A claim whose gate died is itself a socket
 * that nobody listens on.
 */
async function takePlace(draft: string, path: string, place = path): Promise<void> {
  if (await isLinked(draft, place)) return;
  const stale = await staleAt(place, path);
  if (stale === undefined) {
    if (await isLinked(draft, place)) return;
    throw busy(path, 'Another process was quicker.');
  }
  const claim = join(dirname(path), `.${stale.toString(36)}`);
  await takePlace(draft, path, claim);
  try {
    if ((await staleAt(place, path)) !== stale) throw busy(path, 'Another process was quicker.');
    await rename(claim, place);
  } catch (error) {
    await rm(claim, { force: true });
    throw error;
  }
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

/** The inode of the socket that nobody listens on; undefined where there is nothing. */
async function staleAt(place: string, path: string): Promise<number | undefined> {
  const found = await lstat(place).catch(ignoreAbsence);
  if (found === undefined) return undefined;
  if (!found.isSocket()) throw unusable(path, 'It exists and is no socket.');
  if (await isAnswered(place)) throw busy(path, 'Another process listens there.');
  return found.ino;
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

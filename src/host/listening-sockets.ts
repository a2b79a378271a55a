/**
 * Tells whether somebody listens on a Unix socket without connecting to it.
 *
 * A connection is not harmless: where systemd holds the socket it starts the service behind it, which then creates
 * files. The kernel's own table of sockets says who listens and wakes nobody.
 */
import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';

/** absent: no such socket. abandoned: the file is there, nobody listens. denied: it is not for us. */
export type SocketState = 'absent' | 'abandoned' | 'denied' | 'listening';

/** `table` is the kernel's list; it shows the sockets of this network namespace. */
export async function socketState(path: string, table = '/proc/net/unix'): Promise<SocketState> {
  try {
    const { dev, ino } = await stat(path);
    if (!(await isListening({ path, dev, ino }, table))) {
      return 'abandoned';
    }
    await access(path, constants.R_OK | constants.W_OK);
    return 'listening';
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code);
    if (code === 'EACCES' || code === 'EPERM') {
      return 'denied';
    }
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      return 'absent';
    }
    throw error;
  }
}

interface SocketFile {
  readonly path: string;
  readonly dev: number;
  readonly ino: number;
}

/** The table holds the path that the listener used, and that may lead to our file through a link (/var/run). */
async function isListening(file: SocketFile, table: string): Promise<boolean> {
  const listeners = listeningPaths(await readFile(table, 'utf8'));
  if (listeners.has(file.path)) {
    return true;
  }
  for (const listener of listeners) {
    if (basename(listener) === basename(file.path) && (await isSameFile(listener, file))) {
      return true;
    }
  }
  return false;
}

async function isSameFile(path: string, { dev, ino }: SocketFile): Promise<boolean> {
  try {
    const other = await stat(path);
    return other.dev === dev && other.ino === ino;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(String((error as NodeJS.ErrnoException).code))) {
      return false;
    }
    throw error;
  }
}

/** Flag of a socket that accepts connections (`__SO_ACCEPTCON`). */
const accepting = 0x10000;

/** Columns: Num RefCount Protocol Flags Type St Inode Path. Abstract sockets begin with `@` and have no file. */
function listeningPaths(table: string): Set<string> {
  const paths = new Set<string>();
  for (const line of table.split('\n')) {
    const [, flags, path] = /^\S+: \S+ \S+ ([0-9A-Fa-f]+) \S+ \S+ +\d+ (\/.*)$/.exec(line) ?? [];
    if (path !== undefined && (Number.parseInt(flags ?? '0', 16) & accepting) !== 0) {
      paths.add(path);
    }
  }
  return paths;
}

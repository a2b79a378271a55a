/**
 * Private keys on disk: one file each, mode 0600, in a folder of mode 0700. A file is written whole or not at all, and is on the disk
 * when a call returns: what nodes were told to believe must not be gone after a power cut. A file that others could read is refused
 * instead of repaired: its key may be known already.
 */
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { moveDurable, syncPath } from '../../kit/durable.ts';

export interface KeyFile {
  /** Undefined if there is none yet. */
  read(): unknown;
  /** Writes the first content; where another process came first, its content stays. */
  create(value: unknown): void;
  /** Replaces what is there, atomically. */
  replace(value: unknown): void;
}

export function keyFile(folder: string, name: string): KeyFile {
  const path = join(folder, name);
  return {
    read: () => readKey(path),
    create: (value) => {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const written = writeBeside(path, value);
      try {
        linkSync(written, path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      } finally {
        rmSync(written, { force: true });
      }
      syncPath(folder);
    },
    replace: (value) => moveDurable(writeBeside(path, value), path),
  };
}

function readKey(path: string): unknown {
  if (!existsSync(path)) return undefined;
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new AgentError('server.key_unusable', { path, reason: 'Others than its owner can read it.' });
  }
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new AgentError('server.key_unusable', { path, reason: 'It is damaged.' }, { cause: error });
  }
}

function writeBeside(path: string, value: unknown): string {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(value), { mode: 0o600, flush: true });
  return temporary;
}

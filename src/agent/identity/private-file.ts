/** Files of the identity: for their owner only, written whole or not at all, on the disk when a call returns. */
import { existsSync, linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { AgentError } from '../../contract/failures.ts';
import { moveDurable, syncPath } from '../../kit/durable.ts';
import { UntrustedFolder } from '../../kit/untrusted-folder.ts';

/** A bundle of CAs is the longest that is in any. */
const mostBytes = 2 ** 20;

export function identityFolder(stateDir: string): string {
  return join(stateDir, 'identity');
}

/** Undefined if there is none. `identity.unusable` for what is no plain file: root reads them as well, and they are the agent's. */
export function readPrivateFile(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  const folder = new UntrustedFolder(dirname(file), (_name, reason) => {
    return new AgentError('identity.unusable', { path: file, reason });
  });
  try {
    return folder.read(basename(file), mostBytes).toString();
  } finally {
    folder.close();
  }
}

/** Where another process came first, its content stays. */
export function createPrivateFile(file: string, text: string): void {
  const temporary = writeBeside(file, text);
  try {
    linkSync(temporary, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw error;
    }
  } finally {
    rmSync(temporary, { force: true });
  }
  syncPath(dirname(file));
}

export function replacePrivateFile(file: string, text: string): void {
  moveDurable(writeBeside(file, text), file);
}

function writeBeside(file: string, text: string): string {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}`;
  rmSync(temporary, { force: true });
  try {
    writeFileSync(temporary, text, { mode: 0o600, flush: true, flag: 'wx' });
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  return temporary;
}

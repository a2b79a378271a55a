/** Files of the identity: for their owner only, written whole or not at all, on the disk when a call returns. */
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { moveDurable, syncPath } from '../../kit/durable.ts';

export function identityFolder(stateDir: string): string {
  return join(stateDir, 'identity');
}

/** Undefined if there is none. */
export function readPrivateFile(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
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
  try {
    writeFileSync(temporary, text, { mode: 0o600, flush: true });
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  return temporary;
}

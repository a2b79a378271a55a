/** What may be missing on a host without that being a fault of the check. */
import { access, readFile } from 'node:fs/promises';

/** The text of a file; undefined where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(ifAbsent);
}

export async function exists(path: string): Promise<boolean> {
  return (await access(path).then(() => true, ifAbsent)) ?? false;
}

/** For `catch`: what is not there is undefined, everything else is thrown on. */
export function ifAbsent(error: unknown): undefined {
  if (['ENOENT', 'ENOTDIR'].includes(String((error as NodeJS.ErrnoException).code))) {
    return undefined;
  }
  throw error;
}

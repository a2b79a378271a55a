/** Where programs of the host are looked for: PATH first, then the places where packages put them. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';

/**
 * Searched behind PATH, because a service's PATH is shorter than a person's. No home folder is among them: a probe that
 * runs as root must not execute what a user could have put there.
 */
export const knownPlaces = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
  '/snap/bin',
  '/opt/bin',
  '/opt/nerdctl/bin',
  '/usr/local/nvidia/bin',
] as const;

/** Each folder once, in the order of the search. Relative entries of PATH are left out: they depend on where we run. */
export function searchFolders(path: string | undefined, places: readonly string[] = knownPlaces): string[] {
  const folders = [...(path ?? '').split(':'), ...places].filter(isAbsolute);
  return [...new Set(folders.map((folder) => (folder === '/' ? folder : folder.replace(/\/+$/, ''))))];
}

/** Path of the first executable file of that name, or null. A link is followed; a broken one is skipped. */
export async function findProgram(name: string, folders: readonly string[]): Promise<string | null> {
  for (const folder of folders) {
    const path = join(folder, name);
    if (await isExecutable(path)) {
      return path;
    }
  }
  return null;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch (error) {
    if (
      ['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG'].includes(String((error as NodeJS.ErrnoException).code))
    ) {
      return false;
    }
    throw error;
  }
}

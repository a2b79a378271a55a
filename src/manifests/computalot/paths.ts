/** Paths of a manifest. None may mean something else to a tool that reads it otherwise: no climbing, no backslash, no control. */

import { isOneLine } from '../../policy/dockerfile-lines.ts';

/** Everything of the platform's own in a container is below it. */
export const platformFolder = '/computalot';
/** Scratch space, artifacts and payload. */
export const platformMounts = 3;

/** What is wrong with a path that has to be relative; undefined if nothing is. */
export function describeBadRelative(path: string): string | undefined {
  if (path.startsWith('/')) return 'must be a relative path';
  return describeBadPath(path);
}

/** What is wrong with a path of either kind; undefined if nothing is. */
export function describeBadPath(path: string): string | undefined {
  if (/[\t\\]/.test(path) || !isOneLine(path)) return 'must have neither a backslash nor control characters';
  return path.split('/').includes('..') ? 'must not climb by `..`' : undefined;
}

/** True if one of the two is the other, or lies in it. Both are absolute and plain. */
export function touches(one: string, other: string): boolean {
  return `${one}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${one}/`);
}

/** Without the slash that people end folders with. */
export function folderPath(path: string): string {
  return path.replace(/(?<=.)\/+$/, '');
}

/** Checks the home of the allocation's user: workload data is bound into containers from below it. */
import type { Stats } from 'node:fs';
import { lstat, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Check, check, type Finding, fail, ok } from './check.ts';

export interface HomeOwner {
  readonly home: string;
  readonly uid: number;
}

export function homeCheck({ home, uid }: HomeOwner): Check {
  return check(
    'allocation.home',
    'Folders of workloads are made and mounted below it: nobody else may be able to lead that path elsewhere.',
    async () => (await faultOnTheWay(home, uid)) ?? ok(`${home} is a folder of user ${uid}, reached through no link.`),
  );
}

/** Looks from the root downwards, so that the first fault named is the one to correct first. */
async function faultOnTheWay(home: string, uid: number): Promise<Finding | undefined> {
  for (const path of [...ancestors(home), home]) {
    let found: Stats;
    try {
      found = await lstat(path);
    } catch (error) {
      return missing(path, error);
    }
    const fault = path === home ? faultOfHome(home, uid, found) : faultOfAncestor(path, uid, found);
    if (found.isSymbolicLink()) {
      return fail(`${path} is a link.`, `Set the home of the allocation to its real path${await named(home)}.`);
    }
    if (fault !== undefined) {
      return fault;
    }
  }
  return undefined;
}

function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [] : [...ancestors(parent), parent];
}

function faultOfAncestor(path: string, uid: number, { uid: owner, mode }: Stats): Finding | undefined {
  const sticky = (mode & 0o1000) !== 0;
  if (owner !== 0 && owner !== uid) {
    return fail(
      `${path} belongs to user ${owner}, who can replace what is in it.`,
      `Make root the owner: chown root ${path}`,
    );
  }
  return (mode & 0o022) !== 0 && !sticky
    ? fail(`Others may write to ${path} and replace what is in it.`, `Take the right away: chmod go-w ${path}`)
    : undefined;
}

function faultOfHome(home: string, uid: number, found: Stats): Finding | undefined {
  if (!found.isDirectory()) {
    return fail(`${home} is not a folder.`, 'Set the home of the allocation to a folder of its user.');
  }
  if (found.uid !== uid) {
    return fail(
      `${home} belongs to user ${found.uid}, not to user ${uid}.`,
      `Correct the configuration, or run: chown ${uid} ${home}`,
    );
  }
  return (found.mode & 0o002) !== 0
    ? fail(`Everybody may write to ${home}.`, `Take the right away: chmod o-w ${home}`)
    : undefined;
}

function missing(path: string, error: unknown): Finding {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return fail(
      `${path} does not exist.`,
      'Create the home of the allocation user, or correct it in the configuration.',
    );
  }
  throw error;
}

async function named(home: string): Promise<string> {
  const real = await realpath(home).catch(() => undefined);
  return real === undefined ? '' : `, ${real}`;
}

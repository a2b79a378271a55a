/** Checks that the agent's user has no more of this host than the bootstrap has given it, and nobody else the program of the gate. */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { readDisk } from '../resources.ts';
import { type Check, check, type Finding, fail, inGib, ok, skipped, warn } from './check.ts';
import { ifAbsent, readIfThere } from './if-there.ts';

const user = 'gpuaas-agent';
/** Groups of the cards, which its units give it. */
const harmless = [user, 'video', 'render'];
const install = 'opt/gpuaas-node-agent';
const ofRoot = [install, `${install}/versions`, 'etc/gpuaas-node-agent', 'var/lib/gpuaas-node-agent-update'];
/** A version is unpacked beside those that are there. */
const versionRoomBytes = 0.5 * 2 ** 30;
const notOurs = 'This host was not set up by the bootstrap script.';

export function privilegeChecks(root: string): Check[] {
  return [
    check('host.agent_user', 'Whoever takes the agent over has what its user has.', () => judgeUser(root)),
    check('host.folders', 'Root starts what lies in them.', () => judgeFolders(root)),
    check('disk.versions', 'Without room for it, no update can be unpacked.', () => judgeRoom(root)),
  ];
}

async function judgeUser(root: string): Promise<Finding> {
  const [passwd = '', group = ''] = await Promise.all([
    readIfThere(join(root, 'etc/passwd')),
    readIfThere(join(root, 'etc/group')),
  ]);
  const [, , uid] =
    passwd
      .split('\n')
      .find((line) => line.startsWith(`${user}:`))
      ?.split(':') ?? [];
  if (uid === undefined) return skipped(notOurs);
  if (uid === '0') return fail(`${user} is root.`, `Remove the user, then run the bootstrap script again.`);
  const lent = group
    .split('\n')
    .map((line) => line.split(':'))
    .filter(([name = '', , , members = '']) => members.split(',').includes(user) && !harmless.includes(name))
    .map(([name]) => name);
  return lent.length === 0
    ? ok(`${user} is in no group of others.`)
    : fail(
        `${user} is in ${lent.join(', ')}, which may lend it more of this host than it should have.`,
        `Take it out: ${lent.map((name) => `gpasswd -d ${user} ${name}`).join('; ')}`,
      );
}

async function judgeFolders(root: string): Promise<Finding> {
  if ((await lstat(join(root, install)).catch(ifAbsent)) === undefined) return skipped(notOurs);
  for (const folder of ofRoot) {
    const found = await lstat(join(root, folder)).catch(ifAbsent);
    const fault = found && (found.isDirectory() ? undefined : 'is no folder');
    const others =
      found && (found.uid !== 0 || (found.mode & 0o022) !== 0) ? 'can be written by others than root' : undefined;
    const wrong = found === undefined ? 'is not there' : (fault ?? others);
    if (wrong !== undefined) {
      return fail(
        `/${folder} ${wrong}.`,
        'Look who has changed it, then run the bootstrap script again: it corrects it.',
      );
    }
  }
  return ok(`${ofRoot.map((folder) => `/${folder}`).join(', ')} are root's.`);
}

async function judgeRoom(root: string): Promise<Finding> {
  const place = join(root, install);
  if ((await lstat(place).catch(ifAbsent)) === undefined) return skipped(notOurs);
  const { freeBytes } = await readDisk(place);
  const found = `${inGib(freeBytes)} are free at /${install}.`;
  return freeBytes < versionRoomBytes ? warn(found, `Free space on the file system of /${install}.`) : ok(found);
}

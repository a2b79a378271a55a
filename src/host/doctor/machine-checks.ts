/** Checks of the machine itself: disk, reserves, clock, and the folders that must not leak or fill up. */
import { access, lstat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { findProgram, searchFolders } from '../programs.ts';
import { readDisk, readMemoryUse, readTotals } from '../resources.ts';
import { runProgram } from '../run-program.ts';
import { type Check, check, type Finding, fail, inGib, ok, skipped, warn } from './check.ts';
import { type AskEngine, withEngine } from './engine-checks.ts';

export interface MachineChecks {
  readonly askEngine: AskEngine;
  readonly reserves: { readonly cpu_cores: number; readonly memory_gib: number; readonly disk_gib: number };
  /** Where the agent keeps journal, keys and task logs. */
  readonly stateDir: string;
  /** Where opened secrets are kept. */
  readonly secretsDir: string;
  readonly path: string | undefined;
  readonly root: string;
  /** Milliseconds since 1970, by the clock of this host. */
  readonly now?: () => number;
}

const gib = 2 ** 30;
/** A large image that is unpacked: with less than this above the reserve the next pull may fail. */
const imageRoomBytes = 10 * gib;
/** The journal must always be able to write: below the first the agent cannot, below the second it soon cannot. */
const stateRoomBytes = { least: 0.25 * gib, enough: 1 * gib };
const leastFreeEntries = 0.02;

export function machineChecks(input: MachineChecks): Check[] {
  const { askEngine, reserves, stateDir, secretsDir } = input;
  return [
    check(
      'disk.engine',
      'Images are refused before they would fill the disk that running workloads write to.',
      withEngine(askEngine, ({ rootDir }) => judgeEngineDisk(rootDir, reserves.disk_gib)),
    ),
    check('disk.state', 'The agent takes no task that it cannot write down first.', () => judgeStateDisk(stateDir)),
    check('host.reserves', 'What the reserves take, no workload gets.', () => judgeReserves(input)),
    check(
      'host.clock',
      'Certificates, and the times in logs and events, are judged by the clock of this host.',
      (signal) => judgeClock(input, signal),
    ),
    check('host.secrets_dir', 'Opened secrets must not reach a disk.', () => judgeSecretsDir(secretsDir)),
    check('host.state_dir', 'It holds the private keys of this node.', () => judgeStateDir(stateDir)),
  ];
}

async function judgeEngineDisk(rootDir: string, reserveGib: number): Promise<Finding> {
  const disk = await readDisk(rootDir);
  const found = `${inGib(disk.freeBytes)} are free at ${rootDir}, ${reserveGib} GiB are kept in reserve.`;
  const fix = 'Remove images that are not needed (`docker image prune -a`), or give the engine a larger disk.';
  if (disk.freeEntries < leastFreeEntries) {
    return fail(`The file system at ${rootDir} has hardly a file entry (inode) left.`, fix);
  }
  if (disk.freeBytes < reserveGib * gib) {
    return fail(found, fix);
  }
  return disk.freeBytes < reserveGib * gib + imageRoomBytes ? warn(found, fix) : ok(found);
}

async function judgeStateDisk(stateDir: string): Promise<Finding> {
  const disk = await readDisk(stateDir);
  const found = `${inGib(disk.freeBytes)} are free at ${stateDir}.`;
  const fix = `Free space on the file system of ${stateDir}, or move \`state_dir\`.`;
  if (disk.freeEntries < leastFreeEntries) {
    return fail(`The file system at ${stateDir} has hardly a file entry (inode) left.`, fix);
  }
  if (disk.freeBytes < stateRoomBytes.least) {
    return fail(found, fix);
  }
  return disk.freeBytes < stateRoomBytes.enough ? warn(found, fix) : ok(found);
}

async function judgeReserves({ reserves, root }: MachineChecks): Promise<Finding> {
  const [totals, memory] = await Promise.all([readTotals(root), readMemoryUse()]);
  const kept = `${reserves.cpu_cores} of ${totals.cpuCores} cores and ${reserves.memory_gib} GiB of ${inGib(totals.memoryBytes)} memory are kept for the system`;
  if (reserves.cpu_cores >= totals.cpuCores || reserves.memory_gib * gib >= totals.memoryBytes) {
    return fail(
      `${kept}: nothing is left for workloads.`,
      'Lower `reserves` in the configuration, or use a larger host.',
    );
  }
  return memory.availableBytes < reserves.memory_gib * gib
    ? warn(
        `${kept}, but only ${inGib(memory.availableBytes)} are available now.`,
        'Look what uses memory outside of workloads, or raise `reserves.memory_gib` to what the host really needs.',
      )
    : ok(`${kept}; ${inGib(memory.availableBytes)} are available now.`);
}

/** No clock that is right shows a time before this program was written. */
const earliest = Date.UTC(2026, 0, 1);

async function judgeClock({ root, path, now = Date.now }: MachineChecks, signal: AbortSignal): Promise<Finding> {
  if (now() < earliest) {
    return fail(
      `The clock shows ${new Date(now()).toISOString()}.`,
      'Set the clock and turn time synchronisation on: timedatectl set-ntp true',
    );
  }
  if (!(await exists(join(root, 'run/systemd/system')))) {
    return skipped('There is no systemd here that could tell whether the clock is synchronised.');
  }
  if (await exists(join(root, 'run/systemd/timesync/synchronized'))) {
    return ok('The clock is synchronised.');
  }
  // Whoever keeps the time (chrony, ntpd), the kernel knows, and this asks the kernel.
  const tool = await findProgram('timedatectl', searchFolders(path));
  const asked =
    tool === null
      ? undefined
      : await runProgram(tool, ['show', '--property=NTPSynchronized', '--value'], { timeoutMs: 5000, signal });
  const answer = asked?.outcome === 'exited' && asked.exitCode === 0 ? asked.stdout.trim() : '';
  if (answer === 'yes') {
    return ok('The clock is synchronised.');
  }
  return answer === 'no'
    ? warn('The clock is not synchronised.', 'Turn time synchronisation on: timedatectl set-ntp true')
    : skipped('Nothing here tells whether the clock is synchronised.');
}

/** Types of file systems that live in memory, from statfs(2): tmpfs and ramfs. */
const inMemory = new Set([0x01021994, 0x858458f6]);

async function judgeSecretsDir(secretsDir: string): Promise<Finding> {
  const place = await nearestFolder(secretsDir);
  const { type } = await statfs(place);
  const found = place === secretsDir ? secretsDir : `${secretsDir} (not made yet, below ${place})`;
  return inMemory.has(type)
    ? ok(`${found} is in memory.`)
    : fail(
        `${found} is on a disk.`,
        `Mount a tmpfs there, or set \`secrets_dir\` to a folder below one, for example /run.`,
      );
}

async function judgeStateDir(stateDir: string): Promise<Finding> {
  const found = await lstat(stateDir).catch(ifAbsent);
  if (found === undefined) {
    return skipped(`${stateDir} does not exist yet; the agent makes it at its first start.`);
  }
  if (!found.isDirectory()) {
    return fail(
      `${stateDir} is not a folder.`,
      'Move it out of the way; the agent makes the folder at its next start.',
    );
  }
  const mode = found.mode & 0o777;
  return (mode & 0o077) === 0
    ? ok(`${stateDir} is for user ${found.uid} alone.`)
    : fail(`${stateDir} has mode 0${mode.toString(8)}: others may get in.`, `Close it: chmod 0700 ${stateDir}`);
}

async function nearestFolder(path: string): Promise<string> {
  return path === dirname(path) || (await exists(path)) ? path : await nearestFolder(dirname(path));
}

async function exists(path: string): Promise<boolean> {
  return (await access(path).then(() => true, ifAbsent)) ?? false;
}

function ifAbsent(error: unknown): undefined {
  if (['ENOENT', 'ENOTDIR'].includes(String((error as NodeJS.ErrnoException).code))) {
    return undefined;
  }
  throw error;
}

/** Checks of the machine itself: disk, reserves, and the folders that must not leak or fill up. */
import { lstat, readdir, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readDisk, readMemoryUse, readTotals } from '../resources.ts';
import { type Check, check, type Finding, fail, inGib, ok, skipped, warn } from './check.ts';
import { type AskEngine, withEngine } from './engine-checks.ts';
import { exists, ifAbsent } from './if-there.ts';

export interface MachineChecks {
  readonly askEngine: AskEngine;
  readonly reserves: { readonly cpu_cores: number; readonly memory_gib: number; readonly disk_gib: number };
  /** Where the agent keeps journal, keys and task logs. */
  readonly stateDir: string;
  /** Where opened secrets are kept. */
  readonly secretsDir: string;
  /** Where jobs fetch their inputs to. */
  readonly inputsDir: string;
  readonly root: string;
}

const gib = 2 ** 30;
/** A large image that is unpacked: with less than this above the reserve the next pull may fail. */
const imageRoomBytes = 10 * gib;
/** The journal must always be able to write: below the first the agent cannot, below the second it soon cannot. */
const stateRoomBytes = { least: 0.25 * gib, enough: 1 * gib };
const leastFreeEntries = 0.02;

export function machineChecks(input: MachineChecks): Check[] {
  const { askEngine, reserves, stateDir, secretsDir, inputsDir } = input;
  return [
    check(
      'disk.engine',
      'Images are refused before they would fill the disk that running workloads write to.',
      withEngine(askEngine, ({ rootDir }) => judgeEngineDisk(rootDir, reserves.disk_gib)),
    ),
    check('disk.state', 'The agent takes no task that it cannot write down first.', () => judgeStateDisk(stateDir)),
    check('disk.inputs', 'What jobs fetch is refused before it would fill the disk.', () =>
      judgeInputsDisk(inputsDir, reserves.disk_gib),
    ),
    check('host.reserves', 'What the reserves take, no workload gets.', () => judgeReserves(input)),
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

async function judgeInputsDisk(inputsDir: string, reserveGib: number): Promise<Finding> {
  const place = await nearestFolder(inputsDir);
  const disk = await readDisk(place);
  const found = `${inGib(disk.freeBytes)} are free at ${place}, ${reserveGib} GiB are kept in reserve.`;
  const fix = 'Lower `inputs.max_gib`, free space there, or let `inputs.dir` be on a larger disk.';
  return disk.freeBytes < reserveGib * gib || disk.freeEntries < leastFreeEntries ? warn(found, fix) : ok(found);
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
  if ((mode & 0o077) !== 0) {
    return fail(`${stateDir} has mode 0${mode.toString(8)}: others may get in.`, `Close it: chmod 0700 ${stateDir}`);
  }
  const inside = await Promise.all([entriesOf(stateDir), entriesOf(join(stateDir, 'identity'))]);
  const [own, keys] = inside;
  const foreign = [...own, ...keys].filter(({ uid }) => uid !== found.uid);
  if (foreign.length > 0) {
    return fail(
      `${named(foreign)} in ${stateDir} is not of its user ${found.uid}: the agent may not be able to write it.`,
      `Give all of it to that user: chown -R ${found.uid} ${stateDir}`,
    );
  }
  const open = keys.filter(({ mode: each }) => (each & 0o077) !== 0);
  return open.length > 0
    ? fail(`Others may read ${named(open)}.`, `Close it: chmod 0600 ${stateDir}/identity/*`)
    : ok(`${stateDir} is for user ${found.uid} alone.`);
}

const named = (entries: readonly { readonly path: string }[]) =>
  entries
    .slice(0, 3)
    .map(({ path }) => path)
    .join(', ');

/** What lies in a folder, with owner and mode. What goes meanwhile counts for nothing. */
async function entriesOf(folder: string): Promise<{ path: string; uid: number; mode: number }[]> {
  const names = (await readdir(folder).catch(ifAbsent)) ?? [];
  const found = await Promise.all(
    names.slice(0, 1000).map(async (name) => {
      const path = join(folder, name);
      const stat = await lstat(path).catch(ifAbsent);
      return stat && { path, uid: stat.uid, mode: stat.isSymbolicLink() ? 0 : stat.mode & 0o777 };
    }),
  );
  return found.filter((each) => each !== undefined);
}

async function nearestFolder(path: string): Promise<string> {
  return path === dirname(path) || (await exists(path)) ? path : await nearestFolder(dirname(path));
}

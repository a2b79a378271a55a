/**
 * Runs programs of the machine: short ones to their end, daemons so that they outlive their starter.
 *
 * A daemon is remembered by pid and start time together: a pid alone may belong to somebody else after a reboot.
 */
import { type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, stat, truncate } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A process that can be recognised later. */
export interface ProcessId {
  readonly pid: number;
  /** Clock ticks after boot at which it started (`/proc/PID/stat`, field 22). */
  readonly started_ticks: string;
}

/** The environment with the administrator's programs on PATH, which a plain `su` leaves out. */
export const SYSTEM_ENV: NodeJS.ProcessEnv = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };

const LOG_LIMIT_BYTES = 20 * 1024 * 1024;
const ERROR_TAIL_CHARS = 4000;
const FREEZE_SECONDS = 30;

/** Runs a program to its end and gives its stdout. Throws with the tail of its output when it fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: Pick<SpawnOptions, 'cwd' | 'env'> & { input?: string } = {},
): Promise<string> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? SYSTEM_ENV,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let tail = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    tail = (tail + text).slice(-ERROR_TAIL_CHARS);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-ERROR_TAIL_CHARS);
  });
  child.stdin.on('error', () => child.stdin.destroy());
  child.stdin.end(options.input ?? '');

  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit, signal) => resolve(exit ?? signal));
  });
  if (code === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${tail}`);
}

/** A user of the system, who need not have a name; without groups beside its own. */
export interface UserId {
  readonly uid: number;
  readonly gid: number;
}

/** Starts a daemon in a session of its own, with its output appended to `log`; it survives the caller. */
export async function startDaemon(
  command: string,
  args: readonly string[],
  log: string,
  { env = SYSTEM_ENV, ...user }: { readonly env?: NodeJS.ProcessEnv } & Partial<UserId> = {},
): Promise<ProcessId> {
  await mkdir(dirname(log), { recursive: true });
  await rotateLog(log);
  const output = openSync(log, 'a');
  try {
    const child = spawn(command, args, { detached: true, stdio: ['ignore', output, output], env, cwd: '/', ...user });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const identity = child.pid === undefined ? undefined : await identify(child.pid);
    if (identity === undefined) throw new Error(`${command} ended at once; see ${log}`);
    return identity;
  } finally {
    closeSync(output);
  }
}

/** Runs a program when this process has ended, however that was, unless it was released before. Of that nothing is left when it resolves. */
export function runWhenGone(command: readonly string[]): () => Promise<void> {
  // Its input ends with this process. In a session of its own, signals for this one's group do not reach it.
  const child = spawn('/bin/sh', ['-c', 'read -r released || exec "$@"', 'sh', ...command], {
    ...{ detached: true, cwd: '/', env: SYSTEM_ENV, stdio: ['pipe', 'ignore', 'ignore'] },
  });
  child.unref();
  const input = child.stdin as Socket;
  input.unref();
  // It may have been killed.
  for (const each of [child, input]) each.on('error', () => undefined);
  const gone = Promise.withResolvers<void>();
  child.once('close', () => gone.resolve());
  child.once('error', () => gone.resolve());
  return async () => {
    child.ref();
    input.end('released\n');
    await gone.promise;
  };
}

/** Keeps one older log. The daemon appends, so it goes on writing to the emptied file. */
export async function rotateLog(log: string): Promise<void> {
  const size = await stat(log).then(
    (found) => found.size,
    () => 0,
  );
  if (size < LOG_LIMIT_BYTES) return;
  await copyFile(log, `${log}.1`);
  await truncate(log, 0);
}

/** The identity of a living process; `undefined` when there is none, or only a zombie. */
export async function identify(pid: number): Promise<ProcessId | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const ticks = fields[19];
  return ticks === undefined || fields[0] === 'Z' ? undefined : { pid, started_ticks: ticks };
}

/** Whether the very process that was remembered still lives. */
export async function isAlive(identity: ProcessId): Promise<boolean> {
  return (await identify(identity.pid))?.started_ticks === identity.started_ticks;
}

/** Ends a process: SIGTERM, and SIGKILL when it has not ended within `graceSeconds`. A stopped one is woken first. */
export async function stopProcess(identity: ProcessId, graceSeconds = 15): Promise<void> {
  if (!(await isAlive(identity))) return;
  signal(identity.pid, 'SIGTERM');
  signal(identity.pid, 'SIGCONT');
  if (await until(async () => !(await isAlive(identity)), graceSeconds)) return;
  signal(identity.pid, 'SIGKILL');
  await until(async () => !(await isAlive(identity)), 5);
}

/** Signals a process that may be gone already. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Stops a living process where it is; `SIGCONT` lets it go on. SIGSTOP itself returns while threads still run, and those
 * may do work for a moment more, so this waits for the last of them.
 */
export async function freezeProcess(identity: ProcessId): Promise<void> {
  signal(identity.pid, 'SIGSTOP');
  if (await until(() => isFrozen(identity.pid), FREEZE_SECONDS, 1)) return;
  signal(identity.pid, 'SIGCONT');
  throw new Error(`The process ${identity.pid} does not stop.`);
}

/** Whether the process has threads and each of them is stopped, or has ended. */
async function isFrozen(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`);
  const states = await Promise.all(threads.map((thread) => stateOf(`/proc/${pid}/task/${thread}/stat`)));
  return states.includes('T') && states.every((state) => state === undefined || 'TZX'.includes(state));
}

/** The letter of a thread's state; `undefined` when it is gone. */
async function stateOf(statPath: string): Promise<string | undefined> {
  const line = await readFile(statPath, 'utf8').catch(() => '');
  return line.charAt(line.lastIndexOf(')') + 2) || undefined;
}

/** Every living process whose command line names `text`, and all that descend from them. */
export async function processesNaming(text: string): Promise<number[]> {
  const parents = new Map<number, number>();
  const found = new Set<number>();
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (stat === '') continue;
    parents.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(text)) found.add(pid);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const [pid, parent] of parents) {
      if (!found.has(parent) || found.has(pid)) continue;
      found.add(pid);
      grown = true;
    }
  }
  return [...found];
}

/** Waits until `condition` holds; false when it does not within `seconds`. */
export async function until(condition: () => Promise<boolean>, seconds: number, stepMs = 25): Promise<boolean> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await delay(stepMs);
  }
  return true;
}

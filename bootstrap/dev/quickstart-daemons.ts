/**
 * The processes of quickstart, which outlive it: control plane, engine gate, agent, and an index of packages.
 *
 * One that runs as it should is left alone. One that was started for something else (another port, another registry, other
 * sources) is ended and started anew; workloads live on meanwhile.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { isAlive, type ProcessId, startDaemon, stopProcess, type UserId, until } from './processes.ts';
import { step } from './progress.ts';
import { ensureOwned, place } from './quickstart-place.ts';
import { argvOf, circumstances, fileOf, type Program } from './quickstart-programs.ts';
import { readRecord, writeRecord } from './state.ts';

/** In the order in which they are ended: none misses one that it needs. */
export const daemonNames = ['agent', 'gate', 'control-plane', 'package-index'] as const;
type DaemonName = (typeof daemonNames)[number];

interface Daemon {
  readonly name: DaemonName;
  readonly program: Program;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Whom it runs as, if not as root. */
  readonly user?: UserId;
  /** Folders that are the user's alone. */
  readonly owns?: readonly string[];
  /** Where it listens. */
  readonly port?: number;
  /** What else it depends on and reads only once, such as the content of its configuration. */
  readonly reads?: string;
  readonly isReady: () => Promise<boolean>;
}

interface Started extends ProcessId {
  /** Hash of everything that it was started with. */
  readonly shape: string;
  readonly port?: number;
}

const readySeconds = 60;

/** Makes sure that it runs as described and is ready. */
export async function ensureDaemon(daemon: Daemon): Promise<void> {
  const { name, program, args, env, user, owns = [], port, isReady } = daemon;
  const shape = shapeOf(daemon);
  const before = await readRecord<Started>(recordOf(name));
  if (before !== undefined && before.shape === shape && (await isAlive(before)) && (await isReady())) return;
  await step(`starting ${name} as ${user ? `user ${user.uid}` : 'root'}`, async () => {
    if (before !== undefined) await stopProcess(before);
    if (user !== undefined) await Promise.all(owns.map((folder) => ensureOwned(folder, user)));
    const [command, ...rest] = argvOf(program, args);
    const log = join(place.logs, `${name}.log`);
    const started = await startDaemon(command, rest, log, circumstances(env, user));
    await writeRecord(recordOf(name), { ...started, shape, port });
    const ready = await until(async () => (await isReady()) || !(await isAlive(started)), readySeconds);
    if (!ready || !(await isAlive(started))) throw new Error(`${name} did not get ready; its log is ${log}`);
  });
}

/** Its port as long as it runs; else the one that it had or the usual one, or another where a stranger has that. */
export async function portOf(name: DaemonName, usual: number, host?: string): Promise<number> {
  const before = await readRecord<Started>(recordOf(name));
  if (before?.port !== undefined && (await isAlive(before))) return before.port;
  return await freePort(before?.port ?? usual, host);
}

export async function stopDaemon(name: DaemonName): Promise<void> {
  const started = await readRecord<Started>(recordOf(name));
  if (started !== undefined) await stopProcess(started);
}

function shapeOf({ program, args, env, user, reads }: Daemon): string {
  const hash = createHash('sha256').update(JSON.stringify([argvOf(program, args), env, user, reads]));
  return hash.update(readFileSync(fileOf(program))).digest('hex');
}

const recordOf = (name: DaemonName) => join(place.folder, 'processes', `${name}.json`);

/**
 * The three processes of quickstart, which outlive it: control plane, engine gate, agent.
 *
 * One that runs as it should is left alone. One that was started for something else (another port, another registry,
 * another version) is ended and started anew; workloads live on meanwhile.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isAlive, type ProcessId, startDaemon, stopProcess, until } from './processes.ts';
import { step } from './progress.ts';
import { place } from './quickstart-place.ts';
import { argvOf, type Program } from './quickstart-programs.ts';
import { readRecord, writeRecord } from './state.ts';

type DaemonName = 'control-plane' | 'gate' | 'agent';

interface Daemon {
  readonly name: DaemonName;
  readonly program: Program;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** What else it depends on and reads only once, such as the content of its configuration. */
  readonly reads?: string;
  readonly isReady: () => Promise<boolean>;
}

interface Started extends ProcessId {
  /** Hash of everything that it was started with. */
  readonly shape: string;
}

const readySeconds = 60;

/** Makes sure that it runs as described and is ready. */
export async function ensureDaemon(daemon: Daemon): Promise<void> {
  const { name, program, args, env = {}, isReady } = daemon;
  const shape = shapeOf(daemon);
  const before = await readRecord<Started>(recordOf(name));
  if (before !== undefined && before.shape === shape && (await isAlive(before)) && (await isReady())) return;
  await step(`starting ${name}`, async () => {
    if (before !== undefined) await stopProcess(before);
    const [command, ...rest] = argvOf(program, args);
    const log = join(place.logs, `${name}.log`);
    const started = await startDaemon(command, rest, log, { ...process.env, ...env });
    await writeRecord(recordOf(name), { ...started, shape });
    const ready = await until(async () => (await isReady()) || !(await isAlive(started)), readySeconds);
    if (!ready || !(await isAlive(started))) throw new Error(`${name} did not get ready; its log is ${log}`);
  });
}

/** Whether it lives, ready or not. */
export async function isRunning(name: DaemonName): Promise<boolean> {
  const started = await readRecord<Started>(recordOf(name));
  return started !== undefined && (await isAlive(started));
}

export async function stopDaemon(name: DaemonName): Promise<void> {
  const started = await readRecord<Started>(recordOf(name));
  if (started !== undefined) await stopProcess(started);
}

function shapeOf({ program, args, env, reads }: Daemon): string {
  const shape = JSON.stringify([argvOf(program, args), env ?? {}, reads ?? '']);
  return createHash('sha256').update(shape).digest('hex');
}

const recordOf = (name: DaemonName) => join(place.folder, 'processes', `${name}.json`);

/** Starts the engine's daemon by hand, also over what a killed one left behind. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { answersPing } from './engine-api.ts';
import { isAlive, type ProcessId, processesNaming, signal, startDaemon, until } from './processes.ts';
import { writeRecord } from './state.ts';

/** Where one daemon keeps its things. */
export interface DaemonHome {
  readonly socketPath: string;
  /** Images, containers, volumes. */
  readonly data: string;
  /** Runtime folder; also holds the pid file and the configuration. */
  readonly run: string;
  readonly logPath: string;
}

const START_SECONDS = 60;
/** An engine that has just begun may take its time to answer; one that is not there yet says so at once. */
const BUSY_SECONDS = 20;
const KILL_SECONDS = 60;
const LOG_TAIL_LINES = 10;
/** A panic and the calls that led to it; nothing is logged after them. */
const PANIC_CHARACTERS = 5000;

/** Starts a daemon that outlives its caller, and waits until it answers. No daemon may live in this home. */
export async function startDaemonOfEngine(
  home: DaemonHome,
  flags: readonly string[],
  {
    env,
    config: settings = {},
  }: { readonly env?: NodeJS.ProcessEnv | undefined; readonly config?: object | undefined } = {},
): Promise<ProcessId> {
  const config = join(home.run, 'daemon.json');
  await mkdir(home.data, { recursive: true });
  await mkdir(home.run, { recursive: true });
  await clearAfterKill(home);
  // Without one of its own it reads the machine's, which may contradict the flags.
  await writeRecord(config, settings);

  const own = [
    `--config-file=${config}`,
    `--host=unix://${home.socketPath}`,
    `--data-root=${home.data}`,
    `--exec-root=${home.run}`,
    `--pidfile=${join(home.run, 'engine.pid')}`,
  ];
  const start = async (): Promise<ProcessId | undefined> => {
    // It outlives its caller, whose folder for temporary files goes when that ends.
    const { TMPDIR: _ofCaller, ...lasting } = env ?? process.env;
    const daemon = await startDaemon('dockerd', [...own, ...flags], home.logPath, { env: lasting });
    const up = () => answersPing(home.socketPath, BUSY_SECONDS);
    await until(async () => (await up()) || !(await isAlive(daemon)), START_SECONDS);
    return (await isAlive(daemon)) && (await up()) ? daemon : undefined;
  };
  const daemon = (await start()) ?? ((await dropHalfDeletedNetworks(home)) ? await start() : undefined);
  if (daemon !== undefined) return daemon;
  const tail = (await readFile(home.logPath, 'utf8')).trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
  throw new Error(`The container engine did not start. The end of its log ${home.logPath}:\n${tail}`);
}

/**
 * An engine before 23.0.5 that was killed while it deleted a network panics at each later start (moby issue 45057).
 * Its record of networks is dropped then, as an operator would; answers whether that was the trouble. Containers
 * of those networks stay and can be removed.
 */
async function dropHalfDeletedNetworks(home: DaemonHome): Promise<boolean> {
  const end = (await readFile(home.logPath, 'utf8')).slice(-PANIC_CHARACTERS);
  if (!/^panic: .*\n\ngoroutine 1 \[running\]:\n.*libnetwork\S*\.reservePools\(/m.test(end)) return false;
  await rm(join(home.data, 'network/files/local-kv.db'), { force: true });
  await clearAfterKill(home);
  return true;
}

/** Kills every process that names `text`, and what descends from it, and waits until all are gone. */
export async function killNaming(text: string): Promise<void> {
  for (const pid of await processesNaming(text)) signal(pid, 'SIGKILL');
  const gone = await until(async () => (await processesNaming(text)).length === 0, KILL_SECONDS);
  if (!gone) throw new Error(`Processes that name ${text} do not end.`);
}

/**
 * A killed daemon leaves pid files, which the next one believes even when the pid is that of a zombie or of somebody
 * else by now; and its containerd may take a moment to die.
 */
async function clearAfterKill(home: DaemonHome): Promise<void> {
  await killNaming(join(home.run, 'containerd/containerd.toml'));
  for (const file of ['engine.pid', 'containerd/containerd.pid']) await rm(join(home.run, file), { force: true });
}

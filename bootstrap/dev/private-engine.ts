/**
 * A second container engine for fault tests: it may be stopped, frozen and killed without disturbing anybody.
 *
 * It shares nothing with another engine but the kernel: own data, runtime folder, socket, containerd namespace and
 * bridge (with an address of the benchmark range, 198.18.0.0/15), and no firewall rules. Published ports work, through
 * the engine's own proxy. It ends with the process that has started it, however that ends.
 *
 * Never give such an engine `--bridge=none` or `--default-address-pool`: with either it deletes the host's `docker0`,
 * which belongs to the other engine.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type DaemonHome, killNaming, startDaemonOfEngine } from './dockerd.ts';
import { answersPing, askEngine } from './engine-api.ts';
import { deleteLink, ensureBridge } from './links.ts';
import { ensurePackages } from './packages.ts';
import {
  freezeProcess,
  identify,
  type ProcessId,
  processesNaming,
  run as runProgram,
  runWhenGone,
  signal,
  stopProcess,
} from './processes.ts';

/** An engine of a test. */
export interface PrivateEngine {
  readonly socketPath: string;
  /** The engine's process now; another one after {@link PrivateEngine.restart}. */
  readonly pid: number;
  readonly logPath: string;
  /** Ends the engine if it lives and starts it again on the same data. */
  restart(): Promise<void>;
  /** Makes the engine hang: from when this resolves it answers nothing, until it is thawed, restarted or stopped. */
  freeze(): Promise<void>;
  /** Lets it go on. Nothing happens to one that is not frozen. */
  thaw(): void;
  /** Removes its containers and networks, ends all its processes, undoes its mounts and deletes its data. */
  stop(): Promise<void>;
}

/** What a test may ask for beyond the ordinary. */
export interface PrivateEngineOptions {
  /** Further flags of the engine. */
  readonly flags?: readonly string[];
  /** The engine's environment; its PATH decides which runtimes and hooks it finds. */
  readonly env?: NodeJS.ProcessEnv;
  /** What its configuration file says, for settings that have no flag. */
  readonly config?: object;
}

/** A socket's path may have 107 bytes, and the longest lies deep in the runtime folder. */
const DIR_LIMIT = 60;
/** What an engine that hung until now is given to answer again. */
const THAW_SECONDS = 20;
const PREDEFINED_NETWORKS: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);

/** Starts an engine that keeps everything in `dir` and waits until it answers. */
export async function startPrivateEngine(dir: string, options: PrivateEngineOptions = {}): Promise<PrivateEngine> {
  if (dir.length > DIR_LIMIT) {
    throw new Error(`The folder ${dir} is too long a name for the sockets of an engine (${DIR_LIMIT} at most).`);
  }
  await ensurePackages(['docker.io', 'iptables']);
  await mkdir(dir, { recursive: true });
  const { socketPath, logPath } = homeOf(dir);
  const end = [process.execPath, join(import.meta.dirname, 'end-private-engine.ts'), dir];
  const release = runWhenGone(end);
  let engine = await start(dir, options);

  return {
    socketPath,
    logPath,
    get pid() {
      return engine.pid;
    },
    restart: async () => {
      await stopProcess(engine);
      engine = await start(dir, options);
    },
    freeze: async () => await freezeProcess(engine),
    thaw: () => signal(engine.pid, 'SIGCONT'),
    stop: async () => {
      await endPrivateEngine(dir);
      await release();
    },
  };
}

/** Ends the engine of this folder, in whatever state it is, and takes away what it has made. Its log stays. */
export async function endPrivateEngine(dir: string): Promise<void> {
  // Every process that names it is killed.
  if (!/^\/[^/]+\/[^/]/.test(dir)) throw new Error(`${dir} is no folder of an engine's own.`);
  const { socketPath, data, run } = homeOf(dir);
  const alive = await processesNaming(`--data-root=${data}`);
  for (const pid of alive) signal(pid, 'SIGCONT');
  if (await answersPing(socketPath, THAW_SECONDS)) await emptyEngine(socketPath);
  // The file of one that was killed names what may be somebody else by now.
  const pid = Number(await readFile(join(run, 'engine.pid'), 'utf8').catch(() => 0));
  const engine = alive.includes(pid) ? await identify(pid) : undefined;
  if (engine !== undefined) await stopProcess(engine);
  // After a kill containerd, its shims and their containers may live on: all of them descend from what names `dir`.
  await killNaming(`${dir}/`);
  await deleteLink(networkOf(dir).bridge);
  await unmountBelow(dir);
  for (const folder of [data, run]) await rm(folder, { recursive: true, force: true });
}

async function start(dir: string, options: PrivateEngineOptions): Promise<ProcessId> {
  const namespace = `gpuaas-${dir.replaceAll(/[^a-zA-Z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '')}`;
  const { bridge, address } = networkOf(dir);
  await ensureBridge(bridge, address);
  const flags = [
    `--bridge=${bridge}`,
    `--containerd-namespace=${namespace}`,
    `--containerd-plugins-namespace=${namespace}-plugins`,
    '--iptables=false',
    '--ip6tables=false',
    '--ip-masq=false',
    '--ip-forward=false',
    '--shutdown-timeout=5',
    ...(options.flags ?? []),
  ];
  return await startDaemonOfEngine(homeOf(dir), flags, options);
}

function homeOf(dir: string): DaemonHome {
  return {
    socketPath: join(dir, 'docker.sock'),
    data: join(dir, 'data'),
    run: join(dir, 'run'),
    logPath: join(dir, 'engine.log'),
  };
}

/** A bridge and an address that no two folders are likely to share. */
function networkOf(dir: string): { readonly bridge: string; readonly address: string } {
  const hash = createHash('sha256').update(dir).digest();
  return {
    bridge: `gpe${hash.toString('hex', 0, 4)}`,
    address: `198.18.${hash[4]}.1/24`,
  };
}

/** Removes every container and every network, so that no process and no bridge of theirs is left on the host. */
export async function emptyEngine(socketPath: string): Promise<void> {
  const ask = <T>(method: 'GET' | 'DELETE', path: string) => askEngine<T>({ socketPath, method, path });
  for (const { Id } of await ask<{ Id: string }[]>('GET', '/containers/json?all=1')) {
    await ask('DELETE', `/containers/${Id}?force=1&v=1`);
  }
  for (const { Id, Name } of await ask<{ Id: string; Name: string }[]>('GET', '/networks')) {
    if (!PREDEFINED_NETWORKS.has(Name)) await ask('DELETE', `/networks/${Id}`);
  }
}

/** Unmounts all that is mounted below a folder, the innermost first. */
export async function unmountBelow(folder: string): Promise<void> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const points = lines.flatMap((line) => line.split(' ')[4] ?? []).filter((point) => point.startsWith(`${folder}/`));
  for (const point of points.reverse()) await runProgram('umount', ['--lazy', point]);
}

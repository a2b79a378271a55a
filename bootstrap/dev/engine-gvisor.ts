/**
 * Tells the engine of the ground of gVisor while it runs: on SIGHUP it reads its runtimes again, and containers do not notice.
 *
 * An engine that was on this machine before is told only by whoever asks for it, as that changes its operator's file.
 */
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ENGINE_SOCKET, engineProcess } from './engine.ts';
import { answersPing, askEngine } from './engine-api.ts';
import { ensureGvisor, GVISOR_RUNTIME, gvisorProgram } from './gvisor.ts';
import { installedByUs } from './packages.ts';
import { signal, until } from './processes.ts';
import { say, step } from './progress.ts';
import { place } from './quickstart-place.ts';
import { readRecord, stateDir, withLock, writeRecord } from './state.ts';

interface Runtime {
  readonly path?: string;
}

/** A configuration of an engine, as far as it concerns us. */
interface Config {
  readonly runtimes?: Readonly<Record<string, Runtime>>;
}

/** An engine that may be another's, and how it is told. */
interface Engine {
  readonly socketPath: string;
  /** Its configuration, where it is not ours. */
  readonly file: string;
  readonly pidFile: string;
}

/** What was written where into the configuration of an engine that is not ours, and what was there. */
interface Told {
  readonly file: string;
  readonly program: string;
  readonly before?: Runtime | undefined;
  readonly wasThere: boolean;
}

const usual: Engine = {
  socketPath: ENGINE_SOCKET,
  file: '/etc/docker/daemon.json',
  pidFile: '/var/run/docker.pid',
};
const reloadSeconds = 30;

/**
 * Makes sure that the engine, which has to be up, knows gVisor. `isAsked` has one told that was here before. Undefined, or why
 * it does not know it, as the rest of a sentence.
 */
export async function offerGvisor(isAsked: boolean, engine = usual): Promise<string | undefined> {
  try {
    if (await knows(engine)) {
      // Of an older checkout, it may have other flags. Who has told it of another one answers for that.
      if (await isTold(engine)) await ensureGvisor();
      return undefined;
    }
    if (!isAsked && !(await isOurs()))
      return `the engine was here before, and is told of it only by: ${place.command} -- --gvisor`;
    const program = await ensureGvisor();
    await withLock('engine-gvisor', () => step('telling the engine of gVisor', () => tell(engine, program)));
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const [reason = '', ...more] = error.message.split('\n');
    if (more.length > 0) say(error.message);
    return reason.replace(/:$/, '');
  }
}

/** Takes it out of the configuration of an engine that was here before, and leaves that as it was. */
export async function forgetGvisor(engine = usual): Promise<void> {
  const told = await readRecord<Told>(recordPath());
  if (told === undefined) return;
  const { file, program, before, wasThere } = told;
  const { runtimes = {}, ...others } = await configIn(file);
  const { [GVISOR_RUNTIME]: own, ...rest } = runtimes;
  if (own?.path === program) {
    const restored = before === undefined ? rest : { ...rest, [GVISOR_RUNTIME]: before };
    // Only a file that names runtimes changes those that the engine has.
    await put(file, { ...others, runtimes: restored });
    if (await answersPing(engine.socketPath)) await reload(await processOf(engine), async () => !(await knows(engine)));
    if (Object.keys(restored).length === 0) {
      if (wasThere || Object.keys(others).length > 0) await put(file, others);
      else await rm(file);
    }
  }
  await rm(recordPath(), { force: true });
}

async function isOurs(): Promise<boolean> {
  return (await engineProcess()) !== undefined || (await installedByUs()).includes('docker.io');
}

async function knows(engine: Engine): Promise<boolean> {
  const runtime = await runtimeOf(engine);
  return runtime !== undefined && !(runtime.path?.startsWith('/') && !existsSync(runtime.path));
}

/** True where it is the program that is made here. */
async function isTold(engine: Engine): Promise<boolean> {
  return (await runtimeOf(engine))?.path === gvisorProgram();
}

async function runtimeOf({ socketPath }: Engine): Promise<Runtime | undefined> {
  const { Runtimes } = await askEngine<{ Runtimes: Readonly<Record<string, Runtime>> }>({
    ...{ socketPath, method: 'GET', path: '/info' },
  });
  return Runtimes[GVISOR_RUNTIME];
}

async function tell(engine: Engine, program: string): Promise<void> {
  const own = await engineProcess();
  const file = own === undefined ? engine.file : join(stateDir(), 'engine-run/daemon.json');
  const wasThere = existsSync(file);
  const before = await configIn(file);
  const pid = own?.pid ?? (await processOf(engine));
  if (own === undefined) {
    // One of before knows what was there first.
    const first = (await readRecord<Told>(recordPath())) ?? { before: before.runtimes?.[GVISOR_RUNTIME], wasThere };
    await writeRecord(recordPath(), { ...first, file, program } satisfies Told);
  }
  await put(file, { ...before, runtimes: { ...before.runtimes, [GVISOR_RUNTIME]: { path: program } } });
  if (await reload(pid, () => knows(engine))) return;
  await (wasThere ? put(file, before) : rm(file));
  throw new Error(`the engine does not take it from ${file}, which is as it was before`);
}

/** Whether it came to be so. */
async function reload(pid: number, condition: () => Promise<boolean>): Promise<boolean> {
  signal(pid, 'SIGHUP');
  return await until(condition, reloadSeconds, 100);
}

/** Of an engine that is not ours. The file may be an old one, and the signal ends what is no engine. */
async function processOf({ pidFile }: Engine): Promise<number> {
  const pid = existsSync(pidFile) ? Number(await readFile(pidFile, 'utf8')) : 0;
  const name = `/proc/${pid}/comm`;
  if (pid > 0 && existsSync(name) && (await readFile(name, 'utf8')).trim() === 'dockerd') return pid;
  throw new Error(`${pidFile} names no engine to tell of it`);
}

async function configIn(file: string): Promise<Config> {
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as Config) : {};
}

/** In one step. What is there keeps mode and owner, as it may hold passwords, and a link leads where it did. */
async function put(file: string, config: Config): Promise<void> {
  const isThere = existsSync(file);
  const at = isThere ? await realpath(file) : file;
  const { mode, uid, gid } = isThere ? await stat(at) : { mode: 0o644, uid: 0, gid: 0 };
  const draft = `${at}.new`;
  await mkdir(dirname(at), { recursive: true });
  await writeFile(draft, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  await chown(draft, uid, gid);
  await chmod(draft, mode & 0o7777);
  await rename(draft, at);
}

const recordPath = () => join(stateDir(), 'engine-gvisor.json');
